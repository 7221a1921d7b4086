import { describe, expect, test } from 'vitest'
import { failureOf, OUR_URL, startWebhookManager } from './registrations.ts'

describe('an answer of the generic API to a change', () => {
  test.each([
    ['{"id":"wh_1"}', true],
    ['{"id":"wh_1","url":null,"events":null,"active":null}', true],
    ['{"id":"wh_1","active":false}', false],
  ])('of %s is enough where the rest was given in the request', async (body, active) => {
    const { fake, webhooks, logged } = await startWebhookManager('ai')
    fake.answer = { status: 201, body }
    const events = ['batch.failed']
    expect((await webhooks.create('shop', { events })).registration).toEqual({
      source: 'shop',
      id: 'wh_1',
      url: OUR_URL,
      events,
      active,
      ours: true,
    })
    const changes = { url: 'https://other.example/x', events, active: false }
    expect(await webhooks.update('shop', 'wh_1', changes)).toMatchObject({ id: 'wh_1', ...changes })
    expect(logged().match(/"id":"wh_1"/g)).toHaveLength(2)
  })

  test('that lacks fields which the request lacked as well is completed from the list', async () => {
    const { fake, webhooks } = await startWebhookManager('ai')
    const hook = fake.add({ events: ['batch.failed'], active: false })
    fake.terse = true
    const updated = await webhooks.update('shop', hook.id, { events: ['usage.alert'] })
    expect(updated).toMatchObject({ id: hook.id, url: hook.url, events: ['usage.alert'], active: false })
    hook.url = OUR_URL
    const mended = await webhooks.ensure('shop', { events: ['usage.alert'] })
    const registration = { id: hook.id, url: OUR_URL, events: ['usage.alert'], active: true }
    expect(mended).toMatchObject({ action: 'updated', registration })
    expect(fake.received.map(({ method }) => method)).toEqual(['PATCH', 'GET', 'GET', 'PATCH'])
  })

  test.each(['{}', '{"url":"https://a.example","events":[]}', '{"id":"wh_1","events":"all"}', '{"id":{}}'])(
    'of %s is refused as the provider’s fault',
    async (body) => {
      const { fake, webhooks, logged } = await startWebhookManager('ai')
      fake.answer = { status: 200, body }
      await failureOf(webhooks.create('shop', {}), 'provider_failed')
      expect(logged()).toBe('')
    },
  )
})

describe('a list with a registration that cannot be read', () => {
  const odd = { id: 7, name: 'email', active: true, events: ['push'], config: { address: 'a@shop.example' } }
  const sound = { id: 8, active: true, events: ['push'], config: { url: OUR_URL } }

  test('has the other registrations, at GitHub', async () => {
    const { fake, webhooks } = await startWebhookManager('github')
    fake.answer = { status: 200, body: JSON.stringify([odd, null, sound]) }
    expect(await webhooks.list('shop')).toMatchObject({ items: [{ id: '8' }], failed: [] })
    expect(await webhooks.ensure('shop', { events: ['push'] })).toMatchObject({ action: 'unchanged' })
  })

  test.each(['stripe', 'openai'] as const)('goes on after that registration, at %s', async (api) => {
    const { fake, webhooks } = await startWebhookManager(api)
    fake.add({})
    fake.add({ url: null as unknown as string })
    fake.add({ url: OUR_URL, events: ['push'] })
    expect((await webhooks.list('shop')).items).toHaveLength(2)
    expect(await webhooks.ensure('shop', { events: ['push'] })).toMatchObject({ action: 'unchanged' })
  })
})
