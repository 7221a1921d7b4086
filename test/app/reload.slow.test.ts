import { queryObjects } from 'node:v8'
import { expect, test } from 'vitest'
import { Dispatcher } from '../../src/dispatch/dispatcher.ts'
import { HandlerPool } from '../../src/dispatch/pool/pool.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'

test('reloads leave no old generation in memory', async () => {
  const HANDLERS_DIR = handlersIn(temporaryDirectory(), { 'it.js': 'export default (r) => r.on("*", () => {})' })
  const service = await startLocal({ HANDLERS_DIR })
  const inMemory = (): number => Number(queryObjects(Dispatcher)) + Number(queryObjects(HandlerPool))
  const before = inMemory()
  for (let nth = 0; nth < 6; nth++) expect(await service.reload()).toMatchObject({ ok: true })
  await eventually(
    async () => inMemory(),
    (count) => count <= before,
    60_000,
  )
})
