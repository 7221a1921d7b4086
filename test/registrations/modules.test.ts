import { describe, expect, test } from 'vitest'
import type { RegistrationApi } from '../../src/domain/provider.ts'
import { callerOf, failureOf, OUR_URL, SECRET, sourceOf, startWebhookManager } from './registrations.ts'

type Part = keyof RegistrationApi

/** The webhook manager of a source whose provider's module has these parts in place of sound ones. */
async function startWith(parts: Partial<Record<Part, unknown>>) {
  const { provider } = sourceOf('stripe')
  const registrations = { ...provider.api?.registrations, ...parts } as RegistrationApi
  const url: { base?: string } = {}
  const started = await startWebhookManager('stripe', {
    provider: { ...provider, api: { registrations } },
    call: (request) => callerOf(provider, url.base ?? '')(request),
  })
  url.base = started.fake.url
  started.fake.add({ events: ['a'], url: OUR_URL })
  const { webhooks } = started
  const operations: Readonly<Record<string, () => Promise<unknown>>> = {
    list: () => webhooks.list('shop'),
    create: () => webhooks.create('shop', { events: ['a'] }),
    update: () => webhooks.update('shop', 'we_1', { events: ['b'] }),
    remove: () => webhooks.remove('shop', 'we_1'),
    ensure: () => webhooks.ensure('shop', { events: ['b'] }),
  }
  return { ...started, operations }
}

/** Each part, and an operation that goes by it. */
const requests: readonly [Part, string][] = [
  ['list', 'list'],
  ['list', 'ensure'],
  ['create', 'create'],
  ['update', 'update'],
  ['update', 'ensure'],
  ['remove', 'remove'],
]
const readers: readonly [Part, string][] = [
  ['readList', 'list'],
  ['readList', 'ensure'],
  ['read', 'create'],
  ['read', 'update'],
  ['read', 'ensure'],
  ['secret', 'create'],
  ['eventOf', 'create'],
  ['eventOf', 'update'],
  ['eventOf', 'ensure'],
]

const stumble = (): never => {
  throw new TypeError(`cannot read ${SECRET}`)
}
const poisoned = new Proxy({}, { get: stumble })
const rejecting = () => Promise.reject(new Error('late'))

describe('a user’s provider module', () => {
  test.each(requests)('whose %s throws makes the operation %s fail as not configured', async (part, operation) => {
    const { operations, logged } = await startWith({ [part]: stumble })
    expect(await failureOf(operations[operation]?.() ?? Promise.resolve(), 'not_configured')).toBe(
      'provider stripe, for source shop: its module cannot make the request: cannot read [redacted]',
    )
    expect(logged()).toBe('')
  })

  const nonsense = [
    () => ({}),
    () => null,
    () => 'GET /',
    () => ({ method: 'GET' }),
    () => ({ method: 'GRAB', path: '/' }),
    () => ({ method: 'GET', path: 7 }),
    () => ({ method: 'POST', path: '/', query: 'a' }),
    () => ({ method: 'POST', path: '/', headers: null }),
    () => ({ method: 'POST', path: '/', form: { a: 'b' } }),
    () => ({ method: 'POST', path: '/', json: 1n }),
    () => poisoned,
    rejecting,
  ]
  test.each(requests)('whose %s makes no request makes the operation %s fail', async (part, operation) => {
    for (const make of nonsense) {
      const { operations, logged } = await startWith({ [part]: make })
      expect(await failureOf(operations[operation]?.() ?? Promise.resolve(), 'provider_failed')).toBe(
        'stripe, for source shop: its module made no request that can be sent',
      )
      expect(logged()).toBe('')
    }
  })

  const sound = { id: 'we_1', url: OUR_URL, events: ['a'], active: true }
  const unread: readonly unknown[] = [
    stumble,
    ...[undefined, null, {}, 7, [], poisoned].map((value) => () => value),
    rejecting,
    ...Object.keys(sound).map((name) => () => ({ ...sound, [name]: undefined })),
    () => ({ ...sound, id: 7 }),
    () => ({ ...sound, id: '' }),
    () => ({ ...sound, url: new URL(OUR_URL) }),
    () => ({ ...sound, events: 'a' }),
    () => ({ ...sound, events: ['a', 7] }),
    () => ({ ...sound, active: 'true' }),
    ...[7, {}, { a: 1 }].map((next) => () => ({ items: [], next })),
    () => ({ items: {} }),
  ]
  test.each(readers)(
    'whose %s gives an invalid value makes the operation %s fail, and the error does not quote the value',
    async (part, operation) => {
      for (const read of unread) {
        const { operations, logged } = await startWith({ [part]: read })
        const message = await failureOf(operations[operation]?.() ?? Promise.resolve(), 'provider_failed')
        expect(message).toMatch(/^stripe, for source shop: /)
        expect(message).not.toMatch(/cannot read|undefined/)
        if (part !== 'secret') expect(logged()).toBe('')
      }
    },
  )

  test('may give null where there is no further page', async () => {
    const { webhooks } = await startWith({ readList: () => ({ items: [sound], next: null }) })
    expect((await webhooks.list('shop')).items).toMatchObject([{ id: 'we_1' }])
  })

  test('that gives unknown fields and invalid items in a list has neither shown', async () => {
    const { webhooks } = await startWith({ readList: () => ({ items: [{ ...sound, secret: 'x' }, 7, poisoned] }) })
    expect((await webhooks.list('shop')).items).toEqual([{ source: 'shop', ...sound, ours: true }])
  })
})
