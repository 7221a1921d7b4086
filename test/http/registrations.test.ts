import { PassThrough } from 'node:stream'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import pino from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type ErrorCode, HoldfastError } from '../../src/domain/errors.ts'
import type {
  RegistrationList,
  RegistrationOutcome,
  SourceRegistration,
  WebhookManager,
} from '../../src/domain/webhook-manager.ts'
import { createListener } from '../../src/http/listener.ts'
import { registerJsonBody } from '../../src/http/ops/json-body.ts'
import { registerRegistrations } from '../../src/http/ops/registrations.ts'
import { startWebhookManager } from '../registrations/registrations.ts'
import { detailOf } from './ops-service.ts'

const item: SourceRegistration = {
  source: 'shop',
  id: 'we_1',
  url: 'https://hooks.example/v1/webhooks/shop',
  events: ['*'],
  active: true,
  ours: true,
}
const list: RegistrationList = { items: [item], failed: [{ source: 'code', detail: 'it is down' }] }
const made: RegistrationOutcome = { action: 'created', registration: item, secret: 'whsec_new', configure: 'Set it.' }

type Called = readonly [method: string, ...args: unknown[]]

/** The routes over a webhook manager that notes what it is asked, on a port of their own; gone with the test. */
async function startRoutes(webhooks: Partial<WebhookManager> = {}) {
  const called: Called[] = []
  const lines: string[] = []
  const noting =
    <Args extends unknown[], Result>(method: string, result: Result) =>
    async (...args: Args): Promise<Result> => {
      called.push([method, ...args])
      return result
    }
  const output = new PassThrough().on('data', (line) => lines.push(String(line)))
  const { app: root } = createListener({
    log: pino({ level: 'trace' }, output),
    bodyLimitBytes: 65_536,
    onClientFault: () => {},
  })
  const app = root.withTypeProvider<TypeBoxTypeProvider>()
  app.setSerializerCompiler(() => JSON.stringify)
  registerJsonBody(root)
  registerRegistrations(app, {
    list: noting('list', list),
    create: noting('create', made),
    update: noting('update', item),
    remove: noting('remove', undefined),
    ensure: noting('ensure', { action: 'unchanged', registration: item }),
    ...webhooks,
  })
  const url = await root.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(async () => {
    root.server.closeAllConnections()
    await root.close()
  })
  const ask = (method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(`${url}/v1/registrations${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
  return { ask, called, logged: () => lines.join('') }
}

test('GET /v1/registrations lists all registrations, or those of one source', async () => {
  const { ask, called } = await startRoutes()
  const answer = await ask('GET', '')
  expect([answer.status, await answer.json()]).toEqual([200, list])
  await ask('GET', '?source=shop')
  expect(called).toEqual([
    ['list', undefined],
    ['list', 'shop'],
  ])
})

test('POST /v1/registrations registers a webhook, and gives its secret once', async () => {
  const { ask, called, logged } = await startRoutes()
  const answer = await ask('POST', '', { source: 'shop', events: ['invoice.paid'], url: 'https://a.example/b' })
  expect([answer.status, await answer.json()]).toEqual([201, made])
  await ask('POST', '', { source: 'shop', ensure: false })
  expect(called).toEqual([
    ['create', 'shop', { events: ['invoice.paid'], url: 'https://a.example/b' }],
    ['create', 'shop', {}],
  ])
  expect(logged()).not.toContain('whsec')
})

test.each([
  ['created', 201],
  ['updated', 200],
  ['unchanged', 200],
] as const)('POST /v1/registrations with ensure and the outcome %s gets %i', async (action, status) => {
  const { ask } = await startRoutes({ ensure: async () => ({ action, registration: item }) })
  const answer = await ask('POST', '', { source: 'shop', ensure: true })
  expect([answer.status, await answer.json()]).toEqual([status, { action, registration: item }])
})

test('PATCH of a registration changes what is given', async () => {
  const { ask, called } = await startRoutes()
  const answer = await ask('PATCH', '/shop/we_1', { active: false })
  expect([answer.status, await answer.json()]).toEqual([200, item])
  await ask('PATCH', '/shop/a%2Fb', { events: ['a'], url: 'https://a.example' })
  expect(called).toEqual([
    ['update', 'shop', 'we_1', { active: false }],
    ['update', 'shop', 'a/b', { events: ['a'], url: 'https://a.example' }],
  ])
})

test('DELETE of a registration answers 204 without a body', async () => {
  const { ask, called } = await startRoutes()
  const answer = await ask('DELETE', '/shop/we_1')
  expect([answer.status, await answer.text()]).toEqual([204, ''])
  expect(called).toEqual([['remove', 'shop', 'we_1']])
})

describe('a request for registrations that is not valid gets 400, and calls no provider,', () => {
  test.each<[string, string, unknown]>([
    ['GET', '?colour=red', undefined],
    ['GET', '?source=', undefined],
    ['POST', '', {}],
    ['POST', '', { source: '' }],
    ['POST', '', { source: 7 }],
    ['POST', '', { source: 'shop', secret: 'x' }],
    ['POST', '', { source: 'shop', events: [] }],
    ['POST', '', { source: 'shop', events: [''] }],
    ['POST', '', { source: 'shop', events: 'a' }],
    ['POST', '', { source: 'shop', events: Array(201).fill('a') }],
    ['POST', '', { source: 'shop', url: 'x'.repeat(2_049) }],
    ['POST', '', { source: 'shop', ensure: 'true' }],
    ['POST', '', { source: 'shop', ensure: true, url: 'https://a.example' }],
    ['PATCH', '/shop/we_1', {}],
    ['PATCH', '/shop/we_1', { active: 'false' }],
    ['PATCH', '/shop/we_1', { id: 'we_2' }],
  ])('as %s %s %j', async (method, path, body) => {
    const { ask, called } = await startRoutes()
    await detailOf(await ask(method, path, body), 400)
    expect(called).toEqual([])
  })
})

describe('a refusal by the webhook manager', () => {
  test.each<[ErrorCode, number]>([
    ['unknown_source', 404],
    ['registration_not_found', 404],
    ['not_configured', 409],
    ['invalid_request', 400],
    ['provider_failed', 502],
  ])('as %s gets %i with the reason, and is not logged', async (code, status) => {
    const fail = async (): Promise<never> => {
      throw new HoldfastError(code, 'the reason')
    }
    const { ask, logged } = await startRoutes({ list: fail, create: fail, ensure: fail, update: fail, remove: fail })
    for (const answer of [
      await ask('GET', ''),
      await ask('POST', '', { source: 'shop' }),
      await ask('POST', '', { source: 'shop', ensure: true }),
      await ask('PATCH', '/shop/we_1', { active: true }),
      await ask('DELETE', '/shop/we_1'),
    ])
      expect(await detailOf(answer, status)).toBe('the reason')
    expect(logged()).not.toContain('the reason')
  })

  test('for an internal fault gets 500 without the reason, which only the log has', async () => {
    const { ask, logged } = await startRoutes({
      list: async () => {
        throw new Error('a bug')
      },
    })
    expect(await detailOf(await ask('GET', ''), 500)).toBe('undefined')
    expect(logged()).toContain('a bug')
  })
})

test('the registrations API creates, lists and deletes a webhook at a provider', async () => {
  const { webhooks, fake, logged: managerLogged } = await startWebhookManager('stripe')
  const { ask, logged } = await startRoutes(webhooks)
  const created = (await (await ask('POST', '', { source: 'shop', ensure: true })).json()) as RegistrationOutcome
  expect(created).toMatchObject({ action: 'created', secret: fake.hooks[0]?.secret })
  const listed = await (await ask('GET', '?source=shop')).text()
  expect(JSON.parse(listed)).toEqual({ items: [created.registration], failed: [] })
  expect(listed).not.toContain('whsec')
  expect((await ask('DELETE', `/shop/${created.registration.id}`)).status).toBe(204)
  expect(fake.hooks).toEqual([])
  expect(logged() + managerLogged()).not.toContain(String(created.secret))
})
