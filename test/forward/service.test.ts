import { Webhook } from 'standardwebhooks'
import { expect, test } from 'vitest'
import { run } from '../cli/run.ts'
import { AI_SECRET } from '../support/ai-source.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'
import { startReceiver } from './receiver.ts'

const SECRET = `whsec_${Buffer.from('a key for tests, of 32 bytes....').toString('base64')}`
const WAIT_MS = 1_000

test('the service forwards an event, waits as Retry-After says, and signs each attempt for its time', async () => {
  const times: number[] = []
  const receiver = await startReceiver((response, { headers, body }) => {
    times.push(performance.now())
    new Webhook(SECRET).verify(body, headers as Record<string, string>)
    if (times.length === 1) response.writeHead(429, { 'retry-after': String(WAIT_MS / 1_000) }).end('busy')
    else response.writeHead(times.length === 2 ? 202 : 500).end(`{"queued":"${SECRET}", "key": "${AI_SECRET}"}`)
  })
  const service = await startLocal({
    HANDLERS_DIR: handlersIn(temporaryDirectory(), {
      'orders.ts': `
        import { forward, type Router } from 'holdfast'
        export default (router: Router) =>
          router.on('acme.*', { name: 'orders' }, forward(${JSON.stringify({ url: receiver.url, secret: SECRET, allowPrivate: true })}))`,
    }),
    RETRY_BASE_MS: '0',
  })
  const event = signedEvent('acme.thing', { text: 'größe' })
  const { uid } = await post(service.publicUrl, event)
  const { deliveries } = await eventually(
    () => service.api(`/v1/events/${uid}`),
    (found) => found.deliveries[0]?.state === 'succeeded',
  )
  const from = `http://127.0.0.1:${receiver.port}`
  const text = '{"queued":"[redacted]", "key": "[redacted]"}'
  const answer = { from, duration_ms: expect.any(Number) }
  expect(deliveries[0].history).toMatchObject([
    {
      outcome: 'retry_after',
      error: `the handler asked to be run again after 1000 ms; ${from} answered 429: busy`,
      answer: { ...answer, status: 429, text: 'busy' },
    },
    { outcome: 'succeeded', answer: { ...answer, status: 202, text } },
  ])
  const [first = 0, second = 0] = times
  expect(second - first).toBeGreaterThanOrEqual(WAIT_MS)
  expect(receiver.received.map(({ body }) => body.toString())).toEqual([event.body, event.body])
  expect(receiver.received.map(({ headers }) => [headers['webhook-id'], headers['holdfast-attempt']])).toEqual([
    [uid, '1'],
    [uid, '2'],
  ])
  expect(JSON.stringify(service.logs)).not.toContain(SECRET)

  const { out } = await run(['events', 'show', uid], service.environment)
  expect(out).toMatch(/^\S+ +orders +1 +retry_after +\d+ ms +429 in \d+ ms +the handler asked/m)
  expect(out).toMatch(/^\S+ +orders +2 +succeeded +\d+ ms +202 in \d+ ms +-/m)
  expect(out).toMatch(
    new RegExp(`^attempt 2 of orders: ${from} answered 202 in \\d+ ms\\n {2}{"queued":"\\[redacted\\]"`, 'm'),
  )
  const page = await (await fetch(`${service.opsUrl}/console/events/${uid}`)).text()
  expect(page).toMatch(/127\.0\.0\.1:\d+<\/bdi> answered <b>202<\/b> in \d+ ms/)
  expect(page).toMatch(/answered <b>429<\/b> in \d+ ms<\/p><blockquote class="quoted"><bdi>busy<\/bdi>/)
})

test('the service does not start with a forward to a private host that is not allowed, and names the module', async () => {
  const HANDLERS_DIR = handlersIn(temporaryDirectory(), {
    'orders.js': `
      import { forward } from 'holdfast'
      export default (router) => router.on('*', forward({ url: 'http://localhost:3000' }))`,
  })
  await expect(startLocal({ HANDLERS_DIR })).rejects.toThrow(
    /orders\.js.*forward: url leads to localhost, which is not on the public internet: allowPrivate: true/s,
  )
})
