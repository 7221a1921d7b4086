import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'

test('a handler gets the headers of the request, with names in lower case, without credentials, and cannot change them', async () => {
  const directory = temporaryDirectory()
  const file = join(directory, 'headers.json')
  const HANDLERS_DIR = handlersIn(directory, {
    'headers.js': `
      import { writeFileSync } from 'node:fs'
      export default (router) => router.on('acme.thing', (event) => {
        try { event.headers['x-shop'] = 'other' } catch {}
        writeFileSync(${JSON.stringify(file)}, JSON.stringify(event.headers))
      })`,
  })
  const service = await startLocal({ HANDLERS_DIR })
  const event = signedEvent('acme.thing')
  const headers = { ...event.headers, 'X-Shop': 'shop-7', authorization: 'Bearer abc', 'x-echo': AI_SECRET }
  const { uid } = await post(service.publicUrl, { ...event, headers })
  await eventually(
    () => service.api(`/v1/events/${uid}`),
    ({ deliveries }) => deliveries[0]?.state === 'succeeded',
  )
  const seen = JSON.parse(readFileSync(file, 'utf8'))
  expect(seen).toMatchObject({ 'x-shop': 'shop-7', 'content-type': 'application/json' })
  expect(seen).not.toHaveProperty('authorization')
  expect(JSON.stringify(seen)).not.toContain(AI_SECRET)
  expect(seen).toEqual((await service.api(`/v1/events/${uid}`)).headers)
})
