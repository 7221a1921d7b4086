import { PassThrough } from 'node:stream'
import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { createWebhookManager } from '../../src/registrations/webhook-manager.ts'
import { API_KEY, startFakeRegistrations } from '../support/fake-registrations.ts'
import { callerOf, failureOf, OUR_URL, SECRET, sourceOf, startWebhookManager } from './registrations.ts'

const log = pino({ level: 'silent' })

describe('the webhook manager', () => {
  test.each([
    ['replicate', {}, 'provider replicate has no API to register webhooks with'],
    ['stripe', {}, 'SOURCE_SHOP_API_KEY is not set'],
    ['github', {}, 'SOURCE_SHOP_API_URL is not set; SOURCE_SHOP_API_KEY may be needed too'],
  ])('refuses a source of %s that cannot register webhooks, and says why', async (api, overrides, message) => {
    const webhooks = createWebhookManager({ sources: new Map([['shop', sourceOf(api, overrides)]]), log })
    for (const asked of [
      () => webhooks.list('shop'),
      () => webhooks.create('shop', {}),
      () => webhooks.update('shop', '1', { active: true }),
      () => webhooks.remove('shop', '1'),
      () => webhooks.ensure('shop', {}),
    ])
      expect(await failureOf(asked(), 'not_configured')).toBe(message)
  })

  test('lists registrations without PUBLIC_URL, marks none as of this service, and registers only a URL that the caller gives', async () => {
    const { fake, webhooks } = await startWebhookManager('ai', { url: undefined })
    fake.add({ url: OUR_URL })
    expect(await webhooks.list('shop')).toMatchObject({ items: [{ ours: false }] })
    const message = 'PUBLIC_URL is not set, so that source shop has no URL to register'
    expect(await failureOf(webhooks.create('shop', {}), 'not_configured')).toBe(message)
    expect(await failureOf(webhooks.ensure('shop', {}), 'not_configured')).toBe(message)
    expect(await webhooks.create('shop', { url: 'https://tunnel.example/x' })).toMatchObject({ action: 'created' })
  })

  test('refuses an unknown source with the names of those that exist', async () => {
    const webhooks = createWebhookManager({ sources: new Map([['shop', sourceOf('ai')]]), log })
    for (const asked of [
      () => webhooks.list('toString'),
      () => webhooks.ensure('toString', {}),
      () => webhooks.remove('toString', '1'),
    ])
      expect(await failureOf(asked(), 'unknown_source')).toBe('there is no source toString; there are shop')
  })
})

test('the list of all registrations has those of the sources that are configured for it', async () => {
  const fake = await startFakeRegistrations('stripe')
  fake.add({})
  const stripe = sourceOf('stripe', { name: 'pay' })
  const sources = [
    sourceOf('replicate'),
    sourceOf('github', { name: 'code' }),
    { ...stripe, call: callerOf(stripe.provider, fake.url) },
  ]
  const webhooks = createWebhookManager({ sources: new Map(sources.map((each) => [each.name, each])), log })
  expect(await webhooks.list()).toMatchObject({ items: [{ source: 'pay', id: 'we_1' }], failed: [] })
})

test('the list of all registrations names a source that fails beside the registrations of the others', async () => {
  const works = await startFakeRegistrations('stripe')
  const fails = await startFakeRegistrations('ai')
  works.add({})
  fails.answer = { status: 500, body: '{"error":"down for today"}' }
  const stripe = sourceOf('stripe', { name: 'pay' })
  const ai = sourceOf('ai')
  const sources = [
    { ...ai, call: callerOf(ai.provider, fails.url) },
    { ...stripe, call: callerOf(stripe.provider, works.url) },
  ]
  const webhooks = createWebhookManager({ sources: new Map(sources.map((each) => [each.name, each])), log })
  const detail = 'ai, for source shop: it answered 500: down for today'
  const { items, failed } = await webhooks.list()
  expect(items).toMatchObject([{ source: 'pay', id: 'we_1' }])
  expect(failed).toEqual([{ source: 'shop', detail }])
  expect(await failureOf(webhooks.list('shop'), 'provider_failed')).toBe(detail)
})

test('the webhook manager logs no key, secret, URL or event at any level', async () => {
  const lines: string[] = []
  const output = new PassThrough().on('data', (line) => lines.push(String(line)))
  const fake = await startFakeRegistrations('stripe')
  const { provider } = sourceOf('stripe')
  const source = sourceOf('stripe', { call: callerOf(provider, fake.url) })
  const webhooks = createWebhookManager({ sources: new Map([['shop', source]]), log: pino({ level: 'trace' }, output) })
  const { registration, secret = '' } = await webhooks.ensure('shop', {})
  await webhooks.update('shop', registration.id, { active: false })
  await webhooks.ensure('shop', {})
  await webhooks.list()
  await webhooks.remove('shop', registration.id)
  await failureOf(webhooks.remove('shop', registration.id), 'registration_not_found')
  expect(lines.map((line) => JSON.parse(line).action)).toEqual(['created', 'updated', 'updated', 'deleted'])
  expect(secret).toMatch(/^whsec_/)
  for (const hidden of [secret, SECRET, API_KEY, 'whsec_', 'hooks.example', 'sk-test'])
    expect(lines.join('')).not.toContain(hidden)
})
