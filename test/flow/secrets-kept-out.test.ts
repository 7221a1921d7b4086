import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { signatureOf } from '../support/raw-http.ts'
import { handlersIn, startService, temporaryDirectory } from '../support/service.ts'

const OLD = `whsec_${Buffer.from('an old secret, thirty-two bytes!').toString('base64')}`
const API_KEY = 'sk-0123456789-abcdefghij'
const CALLED = { SOURCE_AI_API_KEY: API_KEY, SOURCE_AI_API_URL: 'http://127.0.0.1:9', HANDLER_PROCESSES: '1' }
const base64 = (text: string): string => Buffer.from(text).toString('base64')

test('no secret of a source is stored, shown or logged, whichever header carries it', async () => {
  const directory = temporaryDirectory()
  const service = await startService({ ...CALLED, SOURCE_AI_SECRET: `${AI_SECRET},${OLD}` }, directory)
  const body = Buffer.from(JSON.stringify({ type: 'no.such', data: { a: 1 } }))
  const headers = {
    'content-type': 'application/json',
    'x-request-id': API_KEY,
    'x-copied': AI_SECRET,
    'x-original-authorization': `Basic ${base64(`user:${OLD}`)}`,
    'x-url': `/hook?key=${encodeURIComponent(AI_SECRET)}`,
    'x-plain': 'plain',
    ...signatureOf(body),
  }
  const answer = await fetch(`${service.publicUrl}/v1/webhooks/ai?key=${API_KEY}`, { method: 'POST', headers, body })
  expect(answer.status).toBe(200)
  const { uid } = (await answer.json()) as { uid: string }
  const event = await service.api(`/v1/events/${uid}`)
  expect(event.headers).toMatchObject({ 'x-plain': 'plain', 'x-copied': '[redacted]', 'x-request-id': '[redacted]' })
  // The line names the request, which is known by its sender's own name for it.
  await service.logged(({ msg, reqId }) => msg === 'event unhandled' && reqId === '[redacted]')
  await service.stop()

  const files = ['data/holdfast.db', 'data/holdfast.db-wal'].map((file) => {
    try {
      return readFileSync(join(directory, file), 'latin1')
    } catch {
      return ''
    }
  })
  const kept = `${files.join('')}${JSON.stringify(service.logs)}${JSON.stringify(event)}`
  expect(kept).toContain('no.such')
  for (const spelling of [AI_SECRET, encodeURIComponent(AI_SECRET), OLD, base64(`user:${OLD}`), API_KEY])
    expect(kept).not.toContain(spelling)
})

test('no secret of a source gets into the log through a handler, whichever way the handler writes', async () => {
  const directory = temporaryDirectory()
  const leak = `import { writeSync } from 'node:fs'
    const key = process.env.SOURCE_AI_API_KEY
    export default (router) => {
      router.on('no.such', (_event, { log, fail }) => {
        log.info({ request: { headers: { authorization: 'Bearer ' + key } } }, 'asked with ' + key)
        console.log('asked', { key })
        process.stderr.write('asked with ' + key)
        writeSync(2, 'asked with ' + key)
        setTimeout(() => { throw new Error('late with ' + key) })
        fail('failed with ' + key)
      })
    }`
  const service = await startService(
    {
      ...CALLED,
      SOURCE_AI_SECRET: AI_SECRET,
      HANDLERS_DIR: handlersIn(directory, { 'leak.js': leak }),
    },
    directory,
  )
  await post(service.publicUrl, signedEvent('no.such'))
  await service.logged(({ msg }) => msg === 'a handler threw after its attempt had ended')
  await service.logged(({ msg, handler_process }) => msg === 'asked with [redacted]' && handler_process !== undefined)
  await service.logged(({ msg }) => msg === 'delivery dead')
  await service.stop()
  expect(JSON.stringify(service.logs)).toContain('Bearer [redacted]')
  expect(JSON.stringify(service.logs)).not.toContain(API_KEY)
})
