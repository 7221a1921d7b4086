import { describe, expect, test } from 'vitest'
import { API_KEY, type FakeApi } from '../support/fake-registrations.ts'
import { failureOf, OUR_URL, SECRET, startWebhookManager } from './registrations.ts'

interface Expected {
  readonly api: FakeApi
  readonly path: string
  readonly events: readonly string[]
  readonly created: unknown
  readonly updated: { readonly method: string; readonly body: unknown }
  /** Who makes the secret. */
  readonly handsOut: boolean
}

const AWAY = 'https://other.example/hook'

const apis: readonly Expected[] = [
  {
    api: 'ai',
    path: '/webhooks',
    events: ['completion.finished', 'batch.failed'],
    created: { url: OUR_URL, events: ['completion.finished', 'batch.failed'], secret: SECRET },
    updated: { method: 'PATCH', body: { url: AWAY, events: ['usage.alert'], secret: SECRET } },
    handsOut: false,
  },
  {
    api: 'stripe',
    path: '/v1/webhook_endpoints',
    events: ['invoice.paid', 'charge.failed'],
    created: [
      ['url', OUR_URL],
      ['enabled_events[]', 'invoice.paid'],
      ['enabled_events[]', 'charge.failed'],
    ],
    updated: {
      method: 'POST',
      body: [
        ['url', AWAY],
        ['enabled_events[]', 'usage.alert'],
      ],
    },
    handsOut: true,
  },
  {
    api: 'github',
    path: '/repos/acme/shop/hooks',
    events: ['issues', 'push'],
    created: {
      name: 'web',
      active: true,
      events: ['issues', 'push'],
      config: { url: OUR_URL, content_type: 'json', secret: SECRET },
    },
    updated: {
      method: 'PATCH',
      body: { events: ['usage'], config: { url: AWAY, content_type: 'json', secret: SECRET } },
    },
    handsOut: false,
  },
  {
    api: 'openai',
    path: '/v1/webhook_endpoints',
    events: ['response.completed', 'batch.failed'],
    created: { name: 'Holdfast', url: OUR_URL, event_types: ['response.completed', 'batch.failed'] },
    updated: { method: 'POST', body: { url: AWAY, event_types: ['usage.alert'] } },
    handsOut: true,
  },
]

describe.each(apis)('the webhook manager at $api', ({ api, path, events, created, updated, handsOut }) => {
  test('creates a registration as the API wants it, and gives the secret where the provider made it', async () => {
    const { fake, webhooks, logged } = await startWebhookManager(api)
    const { registration, secret, configure, action } = await webhooks.create('shop', { events })
    expect(fake.received).toMatchObject([{ method: 'POST', path, body: created }])
    expect(fake.received[0]?.headers.authorization).toBe(`Bearer ${API_KEY}`)
    const [hook] = fake.hooks
    expect(registration).toEqual({ source: 'shop', id: hook?.id, url: OUR_URL, events, active: true, ours: true })
    expect(action).toBe('created')
    expect(secret).toBe(handsOut ? hook?.secret : undefined)
    expect(hook?.secret).toEqual(handsOut ? expect.stringMatching(/^whsec_/) : SECRET)
    if (handsOut) expect(configure).toMatch(/^Set SOURCE_SHOP_SECRET to this secret, before the old one and a comma /)
    else expect(configure).toBeUndefined()
    expect(JSON.parse(logged())).toEqual({
      level: 30,
      source: 'shop',
      id: hook?.id,
      action: 'created',
      msg: 'registration changed',
    })
  })

  test('lists all pages, marks the registrations of this service and shows no secret', async () => {
    const { fake, webhooks } = await startWebhookManager(api)
    const count = api === 'github' ? 101 : 5
    for (let at = 1; at < count; at++) fake.add({ secret: SECRET })
    fake.add({ url: OUR_URL.replace('/v1/', '/'), events: ['*'], secret: SECRET })
    const { items, failed } = await webhooks.list('shop')
    expect(failed).toEqual([])
    expect(items.map(({ id }) => id)).toEqual(fake.hooks.map(({ id }) => id))
    expect(items.map(({ ours }) => ours)).toEqual(fake.hooks.map((_, at) => at === count - 1))
    expect(items.at(-1)).toEqual({
      source: 'shop',
      id: fake.hooks.at(-1)?.id,
      url: fake.hooks.at(-1)?.url,
      events: ['*'],
      active: true,
      ours: true,
    })
    expect(JSON.stringify(items)).not.toMatch(/whsec|\*{8}/)
    expect(fake.received.map(({ method }) => method)).toEqual(
      Array(api === 'ai' ? 1 : api === 'github' ? 2 : 3).fill('GET'),
    )
  })

  test('ends a list at a full page that is the last one', async () => {
    const { fake, webhooks } = await startWebhookManager(api)
    for (let at = 0; at < (api === 'github' ? 100 : 2); at++) fake.add({})
    expect((await webhooks.list('shop')).items).toHaveLength(fake.hooks.length)
  })

  test('sends what an update gives, and the rest stays', async () => {
    const { fake, webhooks } = await startWebhookManager(api)
    const hook = fake.add({ url: OUR_URL, events: ['a.b'] })
    const item = await webhooks.update('shop', hook.id, { events: ['usage.alert'], url: AWAY })
    expect(fake.received).toMatchObject([{ ...updated, path: `${path}/${hook.id}` }])
    expect(item).toMatchObject({ id: hook.id, url: AWAY, active: true, ours: false, events: hook.events })

    await webhooks.update('shop', hook.id, { events: ['push'] })
    expect(hook).toMatchObject({ url: AWAY, events: ['push'], active: true })
    expect(JSON.stringify(fake.received.at(-1)?.body)).not.toContain(SECRET)
  })

  test('deletes a registration, which cannot be deleted or changed again', async () => {
    const { fake, webhooks, logged } = await startWebhookManager(api)
    const { id } = fake.add({})
    await webhooks.remove('shop', id)
    expect(fake.hooks).toEqual([])
    expect(fake.received).toMatchObject([{ method: 'DELETE', path: `${path}/${id}` }])
    expect(JSON.parse(logged())).toMatchObject({ source: 'shop', id, action: 'deleted' })
    const missing = `source shop has no registration ${id}`
    expect(await failureOf(webhooks.remove('shop', id), 'registration_not_found')).toBe(missing)
    expect(await failureOf(webhooks.update('shop', id, { events: ['a'] }), 'registration_not_found')).toBe(missing)
  })
})

test.each<FakeApi>(['ai', 'stripe', 'github'])('a registration at %s is switched off and on', async (api) => {
  const { fake, webhooks } = await startWebhookManager(api)
  const hook = fake.add({ secret: 'of another service' })
  expect(await webhooks.update('shop', hook.id, { active: false })).toMatchObject({ active: false })
  expect(hook).toMatchObject({ active: false, events: ['a.b'], secret: 'of another service' })
  expect(await webhooks.update('shop', hook.id, { active: true })).toMatchObject({ active: true })
  expect(hook.active).toBe(true)
})

test('the webhook manager sends GitHub the version of its API', async () => {
  const { fake, webhooks } = await startWebhookManager('github')
  await webhooks.list('shop')
  expect(fake.received[0]?.headers).toMatchObject({
    accept: 'application/vnd.github+json',
    'x-github-api-version': '2022-11-28',
  })
})

test('the webhook manager refuses to switch a registration at OpenAI on or off', async () => {
  const { fake, webhooks } = await startWebhookManager('openai')
  const { id } = fake.add({})
  expect(await failureOf(webhooks.update('shop', id, { active: false }), 'invalid_request')).toBe(
    'provider openai cannot change active',
  )
  expect(fake.received).toEqual([])
})

test.each(['', '.', '..', '../tasks', 'a/../../b', '..\\x', 'a\ud800'])(
  'the webhook manager makes no request for a registration with the id %j',
  async (id) => {
    const { fake, webhooks } = await startWebhookManager('ai')
    await failureOf(webhooks.remove('shop', id), 'registration_not_found')
    await failureOf(webhooks.update('shop', id, { active: true }), 'registration_not_found')
    expect(fake.received).toEqual([])
  },
)
