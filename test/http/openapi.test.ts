import { expect, test } from 'vitest'
import { startOps } from './ops-service.ts'

test('docs/openapi.json describes the ops API as it is; after a change of a route, run `npm run openapi`', async () => {
  const { get } = await startOps()
  const { info, ...description } = (await (await get('/openapi.json')).json()) as { info: { version: string } }
  // A release would change it otherwise.
  const text = JSON.stringify({ ...description, info: { ...info, version: 'x' } }, undefined, 1)
  await expect(`${text}\n`).toMatchFileSnapshot('../../docs/openapi.json')
})
