import { describe, expect, test } from 'vitest'
import type { FakeApi } from '../support/fake-registrations.ts'
import { OUR_URL, SECRET, startWebhookManager } from './registrations.ts'

const apis: readonly FakeApi[] = ['ai', 'stripe', 'github', 'openai']
const EVENTS = ['batch', 'push']
const SHOWN_BEFORE =
  /^The provider showed its secret only when it was made\. .* delete the registration and run ensure again\.$/

describe.each(apis)('ensure at %s', (api) => {
  const handsOut = api === 'stripe' || api === 'openai'

  test('registers a webhook where there is none for this service, and finds it the next time', async () => {
    const { fake, webhooks, logged } = await startWebhookManager(api)
    fake.add({ events: ['*'] })
    const made = await webhooks.ensure('shop', { events: EVENTS })
    expect(made).toMatchObject({ action: 'created', registration: { url: OUR_URL, events: EVENTS, ours: true } })
    expect(made.secret).toBe(handsOut ? fake.hooks[1]?.secret : undefined)

    const found = await webhooks.ensure('shop', { events: EVENTS })
    expect(found).toEqual({
      action: 'unchanged',
      registration: made.registration,
      ...(handsOut && { configure: expect.stringMatching(SHOWN_BEFORE) }),
    })
    expect(fake.hooks).toHaveLength(2)
    expect(logged().trim().split('\n')).toHaveLength(1)
    expect(logged()).not.toMatch(/whsec/)
  })

  test('registers one webhook when it is called several times at once', async () => {
    const { fake, webhooks } = await startWebhookManager(api)
    const all = await Promise.all([1, 2, 3, 4].map(() => webhooks.ensure('shop', { events: EVENTS })))
    expect(all.map(({ action }) => action)).toEqual(['created', 'unchanged', 'unchanged', 'unchanged'])
    expect(all.filter(({ secret }) => secret !== undefined)).toHaveLength(handsOut ? 1 : 0)
    expect(fake.hooks).toHaveLength(1)
  })

  test('adds missing events, and removes none', async () => {
    const { fake, webhooks } = await startWebhookManager(api)
    const hook = fake.add({ url: OUR_URL, events: ['release', 'push'] })
    const mended = await webhooks.ensure('shop', { events: EVENTS })
    expect(mended).toMatchObject({ action: 'updated', registration: { id: hook.id } })
    expect(mended.secret).toBeUndefined()
    expect(mended.configure).toEqual(handsOut ? expect.stringMatching(SHOWN_BEFORE) : undefined)
    expect(fake.hooks).toMatchObject([{ url: OUR_URL, events: ['release', 'push', 'batch'], active: true }])
    expect(await webhooks.ensure('shop', { events: EVENTS })).toMatchObject({ action: 'unchanged' })
  })

  test('finds its registration on a later page', async () => {
    const { fake, webhooks } = await startWebhookManager(api)
    for (let at = 0; at < (api === 'github' ? 100 : 4); at++) fake.add({})
    fake.add({ url: OUR_URL, events: EVENTS })
    expect(await webhooks.ensure('shop', { events: EVENTS })).toMatchObject({ action: 'unchanged' })
  })
})

test.each<FakeApi>(['ai', 'stripe', 'github'])(
  'ensure at %s switches on a registration that is off, and sets the secret',
  async (api) => {
    const { fake, webhooks } = await startWebhookManager(api)
    const hook = fake.add({ url: OUR_URL, events: EVENTS, active: false, secret: 'old' })
    expect(await webhooks.ensure('shop', { events: EVENTS })).toMatchObject({ action: 'updated' })
    expect(hook).toMatchObject({ active: true, events: EVENTS })
    expect(hook.secret).toBe(api === 'stripe' ? 'old' : SECRET)
  },
)

test.each([
  'https://hooks.example/webhooks/shop',
  'https://hooks.example/webhooks/shop/',
  'https://hooks.example/v1/webhooks/shop/',
  'https://HOOKS.example:443/v1/webhooks/shop?from=provider',
])('ensure takes %s as a registration of this service', async (url) => {
  const { fake, webhooks } = await startWebhookManager('ai')
  fake.add({ url, events: ['usage.alert'] })
  expect(await webhooks.ensure('shop', { events: ['usage.alert'] })).toMatchObject({ action: 'unchanged' })
})

test.each([
  'http://hooks.example/v1/webhooks/shop',
  'https://hooks.example:8443/v1/webhooks/shop',
  'https://hooks.example/v2/webhooks/shop',
  'https://hooks.example/v1/webhooks/shop2',
  'https://hooks.example/v1/webhooks/shop/more',
  'https://hooks.example/v1/webhooks/Shop',
  'no URL',
])('ensure takes %s as a registration of another service', async (url) => {
  const { fake, webhooks } = await startWebhookManager('ai')
  fake.add({ url, events: ['usage.alert'] })
  expect(await webhooks.ensure('shop', { events: ['usage.alert'] })).toMatchObject({ action: 'created' })
})

test('ensure changes nothing where one of several registrations for this service is complete', async () => {
  const { fake, webhooks } = await startWebhookManager('stripe')
  fake.add({ url: OUR_URL, active: false })
  const lacking = fake.add({ url: OUR_URL, events: ['a'] })
  const sound = fake.add({ url: OUR_URL, events: ['*'] })
  expect(await webhooks.ensure('shop', {})).toMatchObject({ action: 'unchanged', registration: { id: sound.id } })
  sound.active = false
  expect(await webhooks.ensure('shop', {})).toMatchObject({ action: 'updated', registration: { id: lacking.id } })
  expect(lacking.events).toEqual(['*'])
})

test('a failed call of ensure does not hold up the next one, and too many calls at once are refused', async () => {
  const { fake, webhooks } = await startWebhookManager('ai')
  fake.answer = { status: 500, body: '{}' }
  const all = Array.from({ length: 17 }, () => webhooks.ensure('shop', {}))
  const reasons = (await Promise.allSettled(all)).map((each) => each.status === 'rejected' && each.reason.code)
  expect(reasons).toEqual([...Array(16).fill('provider_failed'), 'unavailable'])
  fake.answer = undefined
  expect(await webhooks.ensure('shop', {})).toMatchObject({ action: 'created' })
})
