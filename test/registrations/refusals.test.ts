import pino from 'pino'
import { describe, expect, test } from 'vitest'
import type { RegistrationApi } from '../../src/domain/provider.ts'
import { createWebhookManager } from '../../src/registrations/webhook-manager.ts'
import { API_KEY, type FakeApi } from '../support/fake-registrations.ts'
import { callerOf, failureOf, OUR_URL, SECRET, sourceOf, startWebhookManager } from './registrations.ts'

const log = pino({ level: 'silent' })

describe('a failed call for registrations', () => {
  test.each<FakeApi>(['ai', 'stripe', 'github', 'openai'])(
    'is reported in the words of %s without the API key',
    async (api) => {
      const wrong = `${API_KEY}-of-old`
      const { fake, webhooks, logged } = await startWebhookManager(api)
      const { provider } = sourceOf(api)
      const source = sourceOf(api, { call: callerOf(provider, fake.url, wrong) })
      const refused = createWebhookManager({ sources: new Map([['shop', source]]), log })
      const message = await failureOf(refused.list('shop'), 'provider_failed')
      expect(message).toMatch(/, for source shop: it answered 401: .*Invalid API Key provided: \[redacted\]-of-old$/)
      expect(message).not.toContain(API_KEY)

      fake.answer = {
        status: 422,
        body: JSON.stringify({ message: `no ${SECRET} and ${SECRET.slice(6)}, \u001b[31mplease` }),
      }
      for (const asked of [
        () => webhooks.list('shop'),
        () => webhooks.ensure('shop', {}),
        () => webhooks.update('shop', '1', { events: ['a'] }),
        () => webhooks.remove('shop', '1'),
      ])
        expect(await failureOf(asked(), 'provider_failed')).toBe(
          `${api}, for source shop: it answered 422: no [redacted] and [redacted], [31mplease`,
        )
      expect(logged()).toBe('')
    },
  )

  test('is reported with long words cut short, but not within a secret', async () => {
    const { fake, webhooks } = await startWebhookManager('ai')
    fake.answer = { status: 400, body: JSON.stringify({ error: `${'x'.repeat(245)}${SECRET}${'y'.repeat(5_000)}` }) }
    const message = await failureOf(webhooks.list('shop'), 'provider_failed')
    expect(message.length).toBeLessThanOrEqual(301)
    expect(message).not.toContain('whsec_')
  })

  test.each([
    ['<html>down</html>', 502],
    ['{"error":{"message":{"a":1}}}', 500],
    ['', 503],
    ['[]', 404],
    ['', 302],
  ])('as %j with %i is reported by its status', async (body, status) => {
    const { fake, webhooks } = await startWebhookManager('ai')
    fake.answer = { status, body }
    expect(await failureOf(webhooks.list('shop'), 'provider_failed')).toBe(`ai, for source shop: it answered ${status}`)
  })

  test('is reported as a missing connection where the provider does not answer', async () => {
    const { provider } = sourceOf('ai')
    const source = sourceOf('ai', { call: callerOf(provider, 'http://127.0.0.1:1') })
    const webhooks = createWebhookManager({ sources: new Map([['shop', source]]), log })
    expect(await failureOf(webhooks.list('shop'), 'provider_failed')).toMatch(/^ai, for source shop: No connection/)
  })
})

describe('an invalid answer of the provider of a registration', () => {
  const garbage = ['', 'hello', 'null', '[]', '{}', '{"data":{}}', '[{"id":1}]', '"x"', '7']

  test.each(garbage.flatMap((body) => (['ai', 'stripe', 'openai'] as const).map((api) => [body, api] as const)))(
    'as %j from %s is a fault of the provider, and is not quoted',
    async (body, api) => {
      const { fake, webhooks } = await startWebhookManager(api)
      fake.answer = { status: 200, body }
      for (const asked of [
        () => webhooks.list('shop'),
        () => webhooks.create('shop', {}),
        () => webhooks.update('shop', 'x', { events: ['batch'] }),
        () => webhooks.ensure('shop', {}),
      ])
        expect(await failureOf(asked(), 'provider_failed')).toMatch(/: its answer is no /)
    },
  )

  test.each(['{}', '[{}]', '[{"id":1,"config":{},"events":[],"active":true}]', 'null'])(
    'as %j from GitHub is a fault of the provider',
    async (body) => {
      const { fake, webhooks } = await startWebhookManager('github')
      fake.answer = { status: 200, body }
      await failureOf(webhooks.create('shop', {}), 'provider_failed')
      await failureOf(webhooks.update('shop', '1', { active: true }), 'provider_failed')
    },
  )

  test('that the provider module throws at is a fault of the provider', async () => {
    const stumble = (): never => {
      throw new TypeError(`cannot read ${SECRET}`)
    }
    const { provider } = sourceOf('stripe')
    const registrations = {
      ...provider.api?.registrations,
      read: stumble,
      readList: stumble,
    } as unknown as RegistrationApi
    const { webhooks } = await startWebhookManager('stripe', { provider: { ...provider, api: { registrations } } })
    expect(await failureOf(webhooks.list('shop'), 'provider_failed')).not.toContain('cannot read')
    expect(await failureOf(webhooks.create('shop', {}), 'provider_failed')).not.toContain('cannot read')
  })

  test.each<[FakeApi, string]>([
    ['stripe', '{"data":[{"id":"we_1","url":"u","enabled_events":[],"status":"enabled"}],"has_more":true}'],
    ['openai', '{"data":[{"id":"we_1","url":"u","event_types":[]}],"has_more":true,"last_id":"we_1"}'],
  ])('as a list of %s that never ends is given up', async (api, body) => {
    const { fake, webhooks } = await startWebhookManager(api)
    fake.answer = { status: 200, body }
    expect(await failureOf(webhooks.ensure('shop', {}), 'provider_failed')).toContain('goes on after 20 pages')
    expect(fake.received).toHaveLength(20)
  })

  test.each<[FakeApi, string]>([
    ['stripe', '{"data":[],"has_more":true}'],
    ['openai', '{"data":[],"has_more":true,"last_id":null}'],
  ])('as a page of %s that has a next page but no cursor is refused', async (api, body) => {
    const { fake, webhooks } = await startWebhookManager(api)
    fake.answer = { status: 200, body }
    expect(await failureOf(webhooks.ensure('shop', {}), 'provider_failed')).toContain('no list')
  })

  test.each<[FakeApi, object]>([
    ['stripe', { id: 'we_1', url: OUR_URL, enabled_events: ['*'], status: 'enabled' }],
    ['openai', { id: 'we_1', url: OUR_URL, event_types: ['a'], signing_secret: null }],
  ])('as a registration of %s without its secret is reported with the id', async (api, made) => {
    const { fake, webhooks, logged } = await startWebhookManager(api)
    fake.answer = { status: 200, body: JSON.stringify(made) }
    expect(await failureOf(webhooks.create('shop', {}), 'provider_failed')).toContain(
      'it made registration we_1 but handed out no secret',
    )
    expect(logged()).toContain('we_1')
  })
})
