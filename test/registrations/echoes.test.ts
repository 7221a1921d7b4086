import { describe, expect, test } from 'vitest'
import { API_KEY } from '../support/fake-registrations.ts'
import { failureOf, OUR_URL, SECRET, startWebhookManager } from './registrations.ts'

describe('a registration in which the provider echoes the API key or the secret', () => {
  test('in its URL or an event is shown without it', async () => {
    const { fake, webhooks } = await startWebhookManager('ai')
    fake.add({ url: `${OUR_URL}?key=${SECRET}`, events: ['usage.alert', `x.${API_KEY}`] })
    const item = { url: `${OUR_URL}?key=[redacted]`, events: ['usage.alert', 'x.[redacted]'], ours: true }
    expect(await webhooks.list()).toMatchObject({ items: [item] })
    const found = await webhooks.ensure('shop', { events: ['usage.alert'] })
    expect(found).toMatchObject({ action: 'unchanged', registration: item })
    expect((await webhooks.update('shop', 'wh_1', { active: true })).events).toEqual(item.events)
  })

  test('in its URL or an event is not changed there when ensure updates it', async () => {
    const { fake, webhooks } = await startWebhookManager('ai')
    const hook = fake.add({ url: `${OUR_URL}?key=${SECRET}`, events: [`x.${API_KEY}`] })
    await webhooks.ensure('shop', { events: ['usage.alert'] })
    expect(hook).toMatchObject({ url: `${OUR_URL}?key=${SECRET}`, events: [`x.${API_KEY}`, 'usage.alert'] })
  })

  test.each([API_KEY, `wh_${SECRET}`])('in its id %s is neither shown nor logged', async (id) => {
    const { fake, webhooks, logged } = await startWebhookManager('ai')
    fake.answer = { status: 200, body: JSON.stringify({ id, url: OUR_URL, events: ['batch'] }) }
    await failureOf(webhooks.create('shop', {}), 'provider_failed')
    await failureOf(webhooks.update('shop', 'wh_1', { active: true }), 'provider_failed')
    fake.answer = undefined
    fake.add({ id, url: OUR_URL })
    expect(await webhooks.list()).toEqual({ items: [], failed: [] })
    expect(await failureOf(webhooks.remove('shop', id), 'registration_not_found')).toContain('[redacted]')
    expect(logged()).toBe('')
  })
})

test.each([
  ['control characters', 'wh_\u001b[31m'],
  ['a line break', 'wh_\n1'],
  ['more than 256 characters', 'x'.repeat(257)],
  ['dots', '..'],
])('a registration whose id has %s is refused', async (_what, id) => {
  const { fake, webhooks, logged } = await startWebhookManager('ai')
  fake.answer = { status: 200, body: JSON.stringify({ id }) }
  await failureOf(webhooks.create('shop', {}), 'provider_failed')
  fake.answer = { status: 200, body: JSON.stringify({ webhooks: [{ id, url: OUR_URL, events: [] }] }) }
  expect(await webhooks.list('shop')).toEqual({ items: [], failed: [] })
  expect(logged()).toBe('')
})
