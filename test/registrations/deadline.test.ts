import { expect, test } from 'vitest'
import { OPERATION_DEADLINE_MS } from '../../src/registrations/registration-client.ts'
import type { FakeRegistrations } from '../support/fake-registrations.ts'
import { callerOf, failureOf, sourceOf, startWebhookManager } from './registrations.ts'

/** A provider at which the first call takes all the time that an operation has. */
async function startSlow() {
  let nowMs = 1_000
  const setting: { fake?: FakeRegistrations } = {}
  const { provider } = sourceOf('stripe')
  const slow: ReturnType<typeof callerOf> = async (request) => {
    const call = callerOf(provider, setting.fake?.url ?? '')
    nowMs += setting.fake?.received.length === 0 ? OPERATION_DEADLINE_MS : 0
    return call(request)
  }
  const started = await startWebhookManager('stripe', { call: slow }, () => nowMs)
  setting.fake = started.fake
  return started
}

test('an operation on registrations that has taken too long registers no webhook, since its secret could be lost', async () => {
  const { fake, webhooks } = await startSlow()
  expect(await failureOf(webhooks.ensure('shop', {}), 'provider_failed')).toBe(
    'stripe, for source shop: the operation took more than 120 s, and no further call was made',
  )
  expect(fake.received).toMatchObject([{ method: 'GET' }])
  expect(await webhooks.ensure('shop', {})).toMatchObject({ action: 'created' })
})

test('the time that an operation on registrations waits in the queue counts for its deadline', async () => {
  const { fake, webhooks } = await startSlow()
  const [first, second] = await Promise.all([
    webhooks.create('shop', {}),
    failureOf(webhooks.create('shop', {}), 'unavailable'),
  ])
  expect(first.secret).toMatch(/^whsec_/)
  expect(second).toBe('earlier changes of the registrations of shop take too long')
  expect(fake.received).toHaveLength(1)
})

test('a list of registrations ends at the deadline of its operation', async () => {
  const { fake, webhooks } = await startSlow()
  for (let at = 0; at < 3; at++) fake.add({})
  expect(await failureOf(webhooks.list('shop'), 'provider_failed')).toContain('the operation took more than 120 s')
  expect(fake.received).toHaveLength(1)
})
