import { readFileSync } from 'node:fs'
import pino from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createAuditTrail } from '../../src/app/audit.ts'
import { HoldfastError } from '../../src/domain/errors.ts'
import type { ReloadChanges } from '../../src/domain/reload.ts'
import type { RetentionService } from '../../src/domain/retention.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import type { SourceRegistration, WebhookManager } from '../../src/domain/webhook-manager.ts'
import { createOpsListener } from '../../src/http/ops/ops-listener.ts'
import type { AuditEntryJson } from '../../src/http/schemas/audit.ts'
import { claimRequest, settlement } from '../contract/store-samples.ts'
import { startFakeProvider } from '../support/fake-provider.ts'
import { openReplica } from '../support/postgres/replica.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { callerOf, startTaskRig } from '../support/task-rig.ts'
import { event, opsAccess, opsDefaults } from './ops-service.ts'

const TOKEN = 'correct-horse-battery-staple'
const CLOCK = '2027-01-02T10:00:00.000Z'

const registration: SourceRegistration = {
  source: 'shop',
  id: 'we_1',
  url: 'https://hooks.example/v1/webhooks/shop',
  events: ['*'],
  active: true,
  ours: true,
}
const webhooks: WebhookManager = {
  list: async () => ({ items: [], failed: [] }),
  create: async () => ({ action: 'created', registration, secret: 'whsec_new', configure: 'Set it.' }),
  ensure: async () => ({ action: 'unchanged', registration }),
  update: async () => registration,
  remove: async () => {
    throw new HoldfastError('unavailable', 'the provider is down')
  },
}
const clockMs = Date.parse(CLOCK)
const retention: Pick<RetentionService, 'resume'> = {
  resume: async () => ({ isHeld: false, clockMs, trustedAtMs: clockMs, steadyHours: undefined }),
}
const changes: ReloadChanges = {
  sources: { added: [], removed: [], changed: [] },
  handlers: { added: [], removed: [] },
  settings: ['SOURCE_AI_SECRET', 'MAX_ATTEMPTS'],
  needRestart: [],
}

/** Every way over HTTP to change something: one token, a provider that answers, and a log. */
async function start(given?: OpenStore) {
  const provider = await startFakeProvider()
  onTestFinished(() => provider.close())
  const { store, tasks } = await startTaskRig({
    sources: [{ call: callerOf(provider.url, 5_000) }],
    ...(given !== undefined && { store: given }),
  })
  const lines: Record<string, unknown>[] = []
  const log = pino({}, { write: (line) => void lines.push(JSON.parse(line)) })
  const options = opsDefaults(store)
  const listener = createOpsListener({
    ...options,
    tasks: tasks.service,
    webhooks,
    retention: Object.assign(options.retention, retention),
    reload: async () => ({ ok: true, handlers: 1, changes, durationMs: 5 }),
    access: opsAccess({ tokens: [TOKEN] }),
    audit: createAuditTrail(store.audit, log),
  })
  const url = await listener.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(async () => {
    listener.server.closeAllConnections()
    await listener.close()
  })
  const ask = (method: string, path: string, body: object | undefined): Promise<Response> =>
    fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        'user-agent': 'a test',
        'x-holdfast-user': 'alice',
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  /** The uid of an event whose delivery is dead, as is each one before. */
  const dead = async (): Promise<string> => {
    const { uid } = await store.append(event())
    const { work } = await store.claim(claimRequest({ handlers: [{ name: 'log', limit: 9 }] }))
    await store.settle(work.map((each) => settlement(each, { verdict: 'dead', outcome: 'failed' })))
    return uid
  }
  const lastEntry = async (): Promise<AuditEntryJson | undefined> =>
    ((await (await ask('GET', '/v1/audit?limit=1', undefined)).json()) as { items: AuditEntryJson[] }).items[0]
  return { ask, dead, lastEntry, lines, provider, store }
}

test.each([
  ['an embedded store', async () => undefined],
  ['PostgreSQL', () => openReplica(ownSchema())],
])('each change to %s is in the audit and in the log: who, when, from where, what, how many', async (_, open) => {
  const { ask, dead, lastEntry, lines, provider, store } = await start(await open())
  const tried = new Set<string>()
  /** Asks by a route of the description, and expects its entry. */
  async function change(
    route: `${string} /v1/${string}`,
    given: readonly string[],
    body: object | undefined,
    expected: Partial<AuditEntryJson>,
  ): Promise<Record<string, unknown>> {
    tried.add(route)
    const [method = '', pattern = ''] = route.split(' ')
    const values = [...given]
    const beforeMs = Date.now()
    const answer = await ask(
      method,
      pattern.replace(/\{\w+\}/g, () => values.shift() ?? ''),
      body,
    )
    const text = await answer.text()
    const entry = await lastEntry()
    expect(entry, `${route}: ${text}`).toEqual({
      id: expect.any(Number),
      at: expect.any(String),
      count: null,
      outcome: 'done',
      status: answer.status,
      reason: null,
      actor: 'OPS_TOKEN',
      token_place: null,
      claimed_name: 'alice',
      peer: '127.0.0.1',
      agent: 'a test',
      target: given.join('/'),
      ...expected,
    })
    expect(Date.parse(entry?.at ?? '')).toBeGreaterThanOrEqual(beforeMs)
    const { action, target, outcome } = entry ?? {}
    expect(lines.at(-1)).toMatchObject({ action, target, outcome, actor: 'OPS_TOKEN', peer: '127.0.0.1' })
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
  }

  const uid = await dead()
  await change('POST /v1/events/{uid}/replay', [uid], undefined, { action: 'event.replay', count: 1 })
  const other = await dead()
  const log = { handler: 'log' }
  await change('POST /v1/events/{uid}/discard', [other], log, {
    action: 'event.discard',
    target: `${other} handler=log`,
    count: 1,
  })
  await change('POST /v1/events/{uid}/replay', [other], log, {
    action: 'event.replay',
    target: `${other} handler=log`,
    count: 1,
  })
  await dead()
  await change(
    'POST /v1/deliveries/discard',
    [],
    { filter: { handler: 'log' } },
    {
      action: 'delivery.discard',
      target: 'handler=log',
      count: 3,
    },
  )
  const filter = { type: 'completion.*', contains: 'a private thing', match: ['data.name:Ada'] }
  const { id } = await change(
    'POST /v1/replays',
    [],
    { filter, handler: 'log', per_second: 5, probe: true },
    {
      action: 'replay.create',
      target: expect.stringMatching(/^\S+ probe=true per_second=5 run=log type=completion\.\* contains=… match=…$/),
      count: 0,
    },
  )
  await change('DELETE /v1/replays/{id}', [String(id)], undefined, { action: 'replay.cancel' })

  const taskId = provider.create()
  await change(
    'POST /v1/tasks',
    [],
    { source: 'ai', task_id: taskId, max_wait_ms: 3_600_000 },
    {
      action: 'task.begin',
      target: `ai/${taskId}`,
    },
  )
  await change('POST /v1/tasks/{source}/{task_id}/poll', ['ai', taskId], undefined, { action: 'task.poll' })
  await change('DELETE /v1/tasks/{source}/{task_id}', ['ai', taskId], undefined, { action: 'task.cancel', count: 1 })

  await change(
    'POST /v1/registrations',
    [],
    { source: 'shop' },
    {
      action: 'registration.create',
      target: 'shop/we_1',
      count: 1,
    },
  )
  await change(
    'POST /v1/registrations',
    [],
    { source: 'shop', ensure: true },
    {
      action: 'registration.create',
      target: 'shop/we_1',
      count: 0,
    },
  )
  const ours = ['shop', 'we_1']
  const changed = { active: false, events: ['invoice.*', 'charge.*'], url: 'https://hooks.example/v1/webhooks/shop' }
  await change('PATCH /v1/registrations/{source}/{id}', ours, changed, {
    action: 'registration.update',
    target: 'shop/we_1 active=false events=invoice.*,charge.* url=…',
  })
  await change('DELETE /v1/registrations/{source}/{id}', ours, undefined, {
    action: 'registration.delete',
    outcome: 'failed',
    reason: 'unavailable',
  })

  await change(
    'POST /v1/handlers/{name}/pause',
    ['log'],
    { reason: 'the bank is down' },
    { action: 'handler.pause', reason: 'the bank is down' },
  )
  await change('POST /v1/handlers/{name}/resume', ['log'], undefined, { action: 'handler.resume', count: 1 })
  await change('POST /v1/handlers/{name}/resume', ['log'], undefined, { action: 'handler.resume', count: 0 })
  await change('POST /v1/sources/{name}/pause', ['ai'], {}, { action: 'source.pause' })
  await change('POST /v1/sources/{name}/resume', ['ai'], undefined, { action: 'source.resume', count: 1 })
  await change('POST /v1/drain', [], { on: false }, { action: 'process.drain', target: 'off' })
  await change(
    'POST /v1/retention/resume',
    [],
    { clock: CLOCK },
    {
      action: 'retention.resume',
      target: `clock ${CLOCK}`,
    },
  )
  await change('POST /v1/reload', [], undefined, {
    action: 'configuration.reload',
    target: 'SOURCE_AI_SECRET MAX_ATTEMPTS',
    count: 2,
  })
  await store.payloadIndex.keepPaths([{ source: 'ai', path: 'data.object.customer' }])
  await change('POST /v1/payload-index/continue', [], undefined, {
    action: 'payload_index.continue',
    target: 'payload index',
    count: expect.any(Number),
  })

  const described = JSON.parse(readFileSync('docs/openapi.json', 'utf8')) as { paths: Record<string, object> }
  const changing = Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.keys(methods)
      .filter((method) => method !== 'get' && method !== 'head')
      .map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(tried).toEqual(new Set(changing))
})

test('a discard of many that fails midway is in the audit with what was discarded until then', async () => {
  const { ask, lastEntry, store } = await start()
  const steps = vi.spyOn(store, 'discard')
  steps.mockResolvedValueOnce({ discarded: 3, next: { diedAtMs: 1, key: 1 } })
  steps.mockRejectedValueOnce(new HoldfastError('unavailable', 'the disk is full'))
  expect((await ask('POST', '/v1/deliveries/discard', { filter: {}, all: true })).status).toBe(503)
  expect(await lastEntry()).toMatchObject({ action: 'delivery.discard', target: 'all', outcome: 'failed', count: 3 })
})

test('what a replay runs, and how, is in the audit even if its filter is too long for an entry, which then ends in …', async () => {
  const { ask, lastEntry } = await start()
  const how = { handler: 'log', per_second: 5, probe: true }
  await ask('POST', '/v1/replays', { filter: { task: 't'.repeat(256), source: 'ai' }, ...how })
  const { target = null } = (await lastEntry()) ?? {}
  expect(target).toMatch(/^\S+ probe=true per_second=5 run=log task=t+…$/)
  expect(target).toHaveLength(256)
  await ask('POST', '/v1/replays', { filter: {}, all: true, handler: 'log' })
  expect((await lastEntry())?.target).toMatch(/^\S+ run=log all$/)
})

test('a request that only reads from a provider is not in the audit', async () => {
  const { ask, lastEntry } = await start()
  expect((await ask('GET', '/v1/registrations', undefined)).status).toBe(200)
  expect(await lastEntry()).toBeUndefined()
})
