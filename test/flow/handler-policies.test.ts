import { expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { startLocal } from '../support/local-service.ts'
import { handlersIn, temporaryDirectory } from '../support/service.ts'

test('the policies that a handler module gives hold in the service, and the ops API shows them', async () => {
  const directory = temporaryDirectory()
  const HANDLERS_DIR = handlersIn(directory, {
    'policies.js': `
      export default (router) => {
        router.on('acme.slow', { name: 'slow', timeoutMs: 80, retry: { maxAttempts: 2, baseMs: 1 } }, () => new Promise(() => {}))
        router.on('acme.mail', { name: 'mail', rate: { limit: 2, perMs: 300 } }, () => {})
      }`,
  })
  const service = await startLocal({ HANDLERS_DIR, RETRY_CAP_MS: '20' })
  expect((await service.api('/v1/handlers')).items).toMatchObject([
    { name: 'slow', timeout_ms: 80, retry: { max_attempts: 2, base_ms: 1, cap_ms: 20 }, rate: null },
    { name: 'mail', timeout_ms: 30_000, retry: { max_attempts: 12 }, rate: { limit: 2, per_ms: 300 } },
  ])

  const slow = await post(service.publicUrl, signedEvent('acme.slow'))
  const mails = await Promise.all(
    Array.from({ length: 5 }, (_, n) => post(service.publicUrl, signedEvent('acme.mail', { n }, `evt_${n}`))),
  )
  const handled = mails.map(({ uid }) =>
    eventually(
      () => service.api(`/v1/events/${uid}`),
      ({ deliveries }) => deliveries[0].state === 'succeeded',
    ),
  )
  const starts = (await Promise.all(handled))
    .map(({ deliveries }) => Date.parse(deliveries[0].history[0].started_at))
    .toSorted((a, b) => a - b)
  // They are given in whole milliseconds.
  for (const [at, ms] of starts.slice(2).entries()) expect(ms - (starts[at] ?? 0)).toBeGreaterThanOrEqual(299)

  const { deliveries } = await eventually(
    () => service.api(`/v1/events/${slow.uid}`),
    (event) => event.deliveries[0].state === 'dead',
  )
  expect(deliveries[0]).toMatchObject({ attempts: 2, last_error: 'the handler passed its deadline' })
})
