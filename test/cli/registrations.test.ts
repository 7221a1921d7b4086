import { Agent, type ClientRequest } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { CALL_TIMEOUT_MS } from '../../src/domain/limits.ts'
import type { RegistrationOutcome } from '../../src/domain/webhook-manager.ts'
import { OPERATION_DEADLINE_MS } from '../../src/registrations/registration-client.ts'
import { AI_SECRET } from '../support/ai-source.ts'
import { API_KEY, openFakeRegistrations } from '../support/fake-registrations.ts'
import { run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

const PUBLIC_URL = 'https://hooks.example'
const OURS = `${PUBLIC_URL}/v1/webhooks/shop`

let service: LocalService
let fake: Awaited<ReturnType<typeof openFakeRegistrations>>

beforeAll(async () => {
  fake = await openFakeRegistrations('stripe')
  service = await startLocal({
    PUBLIC_URL,
    SOURCES: 'ai,shop',
    SOURCE_SHOP_PROVIDER: 'stripe',
    SOURCE_SHOP_SECRET: AI_SECRET,
    SOURCE_SHOP_API_KEY: API_KEY,
    SOURCE_SHOP_API_URL: fake.url,
  })
})
afterAll(() => fake.close())
beforeEach(() => {
  fake.hooks.length = 0
})

const registrations = (...args: string[]) => run(['registrations', ...args], service.environment)

test('registrations ensure registers a source once, and shows its secret once with what to do with it', async () => {
  const { code, out, err } = await registrations('ensure', 'shop')
  const [hook] = fake.hooks
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^action {2}created$/m)
  expect(out).toContain(OURS)
  expect(out.split(String(hook?.secret))).toHaveLength(2)
  expect(out).toMatch(/^Set SOURCE_SHOP_SECRET to this secret, .* It is not shown again\.$/m)

  const again = await registrations('ensure', 'shop')
  expect(again.out).toMatch(/^action {2}unchanged$/m)
  expect(again.out).toMatch(/^The provider showed its secret only when it was made\. .* run ensure again\.$/m)
  expect(again.out).not.toContain('whsec_')
  expect(fake.hooks).toHaveLength(1)
})

test('registrations list lists registrations in columns, or as the API gives them', async () => {
  const mine = fake.add({ url: OURS, events: ['a', 'b'], active: false })
  const other = fake.add({ url: 'https://other.example/\u001b[31m' })
  const { out } = await registrations('list')
  expect(
    out
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/)),
  ).toEqual([
    ['SOURCE', 'ID', 'STATE', 'OURS', 'URL', 'EVENTS'],
    ['shop', mine.id, 'off', 'yes', OURS, 'a, b'],
    ['shop', other.id, 'active', 'no', 'https://other.example/ [31m', 'a.b'],
  ])
  const { items } = JSON.parse((await registrations('list', '--source', 'shop', '--json')).out)
  expect(items).toMatchObject([
    { id: mine.id, ours: true },
    { id: other.id, ours: false },
  ])
})

test('registrations create registers the events and the URL that the operator names', async () => {
  const args = ['create', 'shop', '--events', 'invoice.paid, charge.failed', '--url', 'https://tunnel.example/x']
  const { registration, secret } = JSON.parse((await registrations(...args, '--json')).out) as RegistrationOutcome
  const [hook] = fake.hooks
  expect(hook).toMatchObject({ url: 'https://tunnel.example/x', events: ['invoice.paid', 'charge.failed'] })
  expect(registration).toMatchObject({ id: hook?.id, ours: false })
  expect(secret).toBe(hook?.secret)
})

test('registrations update changes a registration and switches it off and on, and registrations delete deletes it', async () => {
  const hook = fake.add({ url: OURS })
  expect((await registrations('update', 'shop', hook.id, '--events', 'x.y', '--disable')).out).toMatch(
    /^state {3}off$/m,
  )
  expect(hook).toMatchObject({ events: ['x.y'], active: false })
  const shown = await registrations('update', 'shop', hook.id, '--enable', '--json')
  expect(JSON.parse(shown.out)).toMatchObject({ source: 'shop', id: hook.id, active: true })

  expect(await registrations('delete', 'shop', hook.id)).toMatchObject({
    code: 0,
    out: `${hook.id} of shop is deleted\n`,
  })
  expect(fake.hooks).toEqual([])
  expect(await registrations('delete', 'shop', hook.id)).toMatchObject({
    code: 4,
    err: `holdfast registrations delete: No such registration (404): source shop has no registration ${hook.id}\n`,
  })
})

test('a registrations command that fails names the missing setting or source, or the provider’s answer', async () => {
  expect(await registrations('ensure', 'ai')).toMatchObject({
    code: 1,
    err: expect.stringContaining('(409): SOURCE_AI_API_URL is not set'),
  })
  expect((await registrations('list', '--source', 'none')).err).toContain('there is no source none')
  fake.answer = { status: 402, body: '{"error":{"message":"Pay first"}}' }
  const reason = 'stripe, for source shop: it answered 402: Pay first'
  expect((await registrations('list', '--source', 'shop')).err).toContain(`The provider did not do it (502): ${reason}`)
  expect(await registrations('list')).toMatchObject({
    code: 1,
    out: 'SOURCE  ID  STATE  OURS  URL  EVENTS\n',
    err: `holdfast registrations list: shop: ${reason}\n`,
  })
  expect(JSON.parse((await registrations('list', '--json')).out).failed).toEqual([{ source: 'shop', detail: reason }])
  fake.answer = undefined
})

test.each([
  ['list'],
  ['create', 'shop'],
  ['ensure', 'shop'],
  ['update', 'shop', '1', '--enable'],
  ['delete', 'shop', '1'],
])(
  'registrations %s waits longer than the service takes at worst, since the answer may contain a secret',
  async (...args) => {
    const added = vi.spyOn(Agent.prototype as unknown as { addRequest(request: ClientRequest): void }, 'addRequest')
    onTestFinished(() => added.mockRestore())
    await registrations(...args)
    const timeouts = added.mock.calls.map(([request]) => (request as ClientRequest & { timeout?: number }).timeout)
    const worstMs = OPERATION_DEADLINE_MS + CALL_TIMEOUT_MS
    expect(timeouts.length).toBeGreaterThan(0)
    for (const timeout of timeouts) expect(timeout).toBeGreaterThan(2 * worstMs)
  },
)

test.each([
  [['create'], '<source> is missing'],
  [['update', 'shop'], '<id> is missing'],
  [['update', 'shop', '1'], 'nothing is to be changed'],
  [['update', 'shop', '1', '--enable', '--disable'], 'exclude each other'],
  [['ensure', 'shop', '--events', 'a,,b'], '--events holds an empty name'],
  [['ensure', 'shop', '--url', 'https://x.example'], 'there is no option --url'],
])('the command registrations %j exits with 2 and the fault of its arguments', async (args, reason) => {
  const { code, err } = await registrations(...args)
  expect(code).toBe(2)
  expect(err).toContain(reason)
})
