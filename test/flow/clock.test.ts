import { Webhook } from 'standardwebhooks'
import { expect, test } from 'vitest'
import { AI_SECRET } from '../support/ai-source.ts'
import { signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'

const DAY_MS = 86_400_000
const HANDLER = `export default (router) => router.on('job.failed', async (event, { attempt }) => {
  if (attempt === 1) throw new Error('the first attempt fails')
})`

/** Sent by a sender whose clock is that of the service. */
async function send(publicUrl: string, aheadMs: number): Promise<string> {
  const { id, body, headers } = signedEvent('job.failed', { job_id: 'j', error: 'e' })
  const sentAt = new Date(Date.now() + aheadMs)
  const answer = await fetch(`${publicUrl}/v1/webhooks/ai`, {
    method: 'POST',
    body,
    headers: {
      ...headers,
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
      'webhook-signature': new Webhook(AI_SECRET).sign(id, sentAt, body),
    },
  })
  expect(answer.status).toBe(200)
  return String(((await answer.json()) as { uid: unknown }).uid)
}

test('a service that is started once with its clock ahead deletes no events, and after a restart with the right time runs what came meanwhile', async () => {
  const directory = temporaryDirectory()
  const environment = { HANDLERS_DIR: handlersIn(directory, { 'jobs.mjs': HANDLER }), RETRY_BASE_MS: '3600000' }
  const start = (aheadMs: number) =>
    startLocal(environment, { directory, tuning: { clock: () => Date.now() + aheadMs }, onEnd: () => {} })
  const deliveryOf = async (service: Awaited<ReturnType<typeof start>>, uid: string) =>
    (await service.api(`/v1/events/${uid}`)).deliveries[0]
  const failedOnce = (delivery: { state: string; attempts: number }) =>
    delivery.state === 'pending' && delivery.attempts === 1

  const before = await start(0)
  const first = await send(before.publicUrl, 0)
  await eventually(() => deliveryOf(before, first), failedOnce)
  await before.stop()

  const ahead = await start(40 * DAY_MS)
  await eventually(
    () => deliveryOf(ahead, first),
    ({ state }) => state === 'succeeded',
  )
  const second = await send(ahead.publicUrl, 40 * DAY_MS)
  await eventually(() => deliveryOf(ahead, second), failedOnce)
  const held = async () => (await fetch(`${ahead.opsUrl}/metrics`)).text()
  await eventually(held, (text) => text.includes('\nholdfast_retention_held 1\n'))
  expect((await fetch(`${ahead.publicUrl}/readyz`)).status).toBe(200)
  expect((await ahead.api('/v1/events')).items).toHaveLength(2)
  await ahead.stop()

  const after = await start(0)
  await eventually(
    () => deliveryOf(after, second),
    ({ state }) => state === 'succeeded',
  )
  const { received_at } = await after.api(`/v1/events/${second}`)
  expect(Date.parse(received_at)).toBeLessThanOrEqual(Date.now())
  expect((await after.api('/v1/events')).items).toHaveLength(2)
  await after.stop()
})
