import pino from 'pino'
import { beforeAll, describe, expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import { createWebhookManager } from '../../src/registrations/webhook-manager.ts'
import { event, shareOps } from './ops-service.ts'
import {
  attempt,
  checksum,
  delivery,
  first,
  ONE,
  registration,
  second,
  sourceState,
  TWO,
  task,
  thrown,
} from './wire-samples.ts'

/** The text of an answer, but for the uids and times that no test chose. */
function fixed(text: string): string {
  return text
    .replaceAll(/"(?!1970|2024|2025)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/g, '"<now>"')
    .replaceAll(/"uid":"(?!019c0000)[0-9a-f-]{36}"/g, '"uid":"<uid>"')
}

const json = (body: object): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})

describe('the ops API', () => {
  const ops = shareOps({
    handlers: () => [
      { name: 'log', types: ['completion.*'] },
      {
        name: 'bill',
        types: ['*'],
        source: 'ai',
        concurrency: 2,
        timeoutMs: 60_000,
        retry: { maxAttempts: 3 },
        rate: { limit: 10, perMs: 1_000 },
        orderBy: 'data.object.id',
      },
    ],
    webhooks: {
      ...createWebhookManager({ sources: new Map(), log: pino({ level: 'silent' }) }),
      list: async () => ({ items: [registration], failed: [{ source: 'forms', detail: 'it is down' }] }),
      ensure: async () => ({ action: 'created', registration, secret: 'whsec_new', configure: 'Set it.' }),
    },
  })

  beforeAll(async () => {
    const { store, get } = ops()
    const one = event({
      uid: ONE,
      id: 'evt_1',
      receivedAtMs: Date.parse('2024-02-03T04:05:06.789Z'),
      apiVersion: 'v1',
      task: 'batch_1',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
      receivedFrom: '203.0.113.24',
      verifiedBy: { secret: 1, of: 2 },
      headers: { 'content-type': 'application/json', 'x-one': '1' },
    })
    await store.append(one)
    for (const seconds of [8, 9]) {
      const receivedAtMs = Date.parse(`2024-02-03T04:05:0${seconds}Z`)
      await store.append({ ...one, uid: newUid(), receivedAtMs, receivedFrom: '203.0.113.25' })
    }
    const { work } = await store.claim({
      handlers: [{ name: 'log', limit: 1 }],
      sharedLimit: 1,
      isolatedLimit: 0,
      leaseMs: 1_000,
      maxAttempts: 3,
    })
    await store.settle(
      work.map((each) => ({
        ...each,
        verdict: 'dead',
        outcome: 'failed',
        isolate: false,
        dueAtMs: Date.parse('2025-01-01T00:00:01Z'),
        error: 'Error: no',
        detail: thrown,
        startedAtMs: Date.parse('2025-01-01T00:00:00.5Z'),
        durationMs: 7.25,
      })),
    )
    await store.append(
      event({
        uid: TWO,
        id: 'evt_2',
        source: 'forms',
        provider: 'forms',
        receivedAtMs: Date.parse('2024-02-03T04:05:07Z'),
        createdAt: '2024-02-03T04:05:07.000Z',
        createdAtSource: 'received',
        origin: 'poll',
        status: 'quarantined',
        reasons: ['data.a is missing', 'data.b is missing'],
        handlers: [],
      }),
    )
    await get('/v1/tasks', json({ source: 'ai', task_id: 'task_1', metadata: { order: [7] } }))
    await get('/v1/tasks/ai/task_1', { method: 'DELETE' })
  })

  test.each([
    ['/v1/events', { items: [second, first], next_cursor: null }],
    ['/v1/events?limit=1&status=accepted', { items: [first], next_cursor: null }],
    [
      `/v1/events/${ONE}`,
      {
        ...first,
        headers: { 'content-type': 'application/json', 'x-one': '1' },
        traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
        received_from: '203.0.113.24',
        verified_by: { secret: 1, of: 2 },
        repeats: { times: 2, last_at: '2024-02-03T04:05:09.000Z', last_from: '203.0.113.25' },
        beside: [],
        checksum,
        deliveries: [{ ...delivery, history: [attempt] }],
      },
    ],
    [
      `/v1/events/${TWO}`,
      { ...second, headers: { 'content-type': 'application/json' }, beside: [], checksum, deliveries: [] },
    ],
    ['/v1/deliveries', { items: [delivery], next_cursor: null }],
    ['/v1/tasks', { items: [task], next_cursor: null }],
    ['/v1/tasks/ai/task_1', { ...task, questions: [] }],
    [
      '/v1/tasks/ai/task_2',
      {
        type: 'urn:holdfast:problem:task-not-found',
        title: 'No such task',
        status: 404,
        detail: 'source ai has no task task_2',
      },
    ],
    [
      '/v1/sources',
      {
        items: [
          {
            name: 'ai',
            provider: 'ai',
            types: ['*'],
            path: '/v1/webhooks/ai',
            url: 'https://hooks.example/v1/webhooks/ai',
            ...sourceState,
          },
          { name: 'forms', provider: 'forms', types: ['*'], path: '/v1/webhooks/forms', url: null, ...sourceState },
        ],
      },
    ],
    [
      '/v1/handlers',
      {
        items: [
          {
            name: 'log',
            types: ['completion.*'],
            source: null,
            concurrency: null,
            timeout_ms: 30_000,
            retry: { max_attempts: 12, base_ms: 1_000, cap_ms: 3_600_000 },
            rate: null,
            order_by: null,
            running: true,
            paused: null,
          },
          {
            name: 'bill',
            types: ['*'],
            source: 'ai',
            concurrency: 2,
            timeout_ms: 60_000,
            retry: { max_attempts: 3, base_ms: 1_000, cap_ms: 3_600_000 },
            rate: { limit: 10, per_ms: 1_000 },
            order_by: 'data.object.id',
            running: true,
            paused: null,
          },
        ],
      },
    ],
    ['/v1/registrations', { items: [registration], failed: [{ source: 'forms', detail: 'it is down' }] }],
    [
      '/v1/retention',
      {
        held: true,
        clock: '<now>',
        last_known: '2024-02-03T04:05:07.000Z',
        steady_hours: 0,
        retention_days: 30,
        retention_dead_days: 60,
        old: {
          days: [{ day: '2024-02-03', events: 2, dead: 1 }],
          more: false,
        },
      },
    ],
    ['/livez', { status: 'live' }],
    ['/readyz', { status: 'ready' }],
  ])('answers GET %s with the same fields, in the same order, byte for byte', async (path, answer) => {
    expect(fixed(await (await ops().get(path)).text())).toBe(JSON.stringify(answer))
  })

  test('answers a registration and a replay with the same fields, in the same order, byte for byte', async () => {
    const { get } = ops()
    const ensured = await get('/v1/registrations', json({ source: 'ai', ensure: true }))
    expect(await ensured.text()).toBe(
      JSON.stringify({ action: 'created', secret: 'whsec_new', configure: 'Set it.', registration }),
    )
    const replayed = await get(`/v1/events/${TWO}/replay`, json({}))
    expect(await replayed.text()).toBe(JSON.stringify({ uid: TWO, status: 'accepted', reasons: [], handlers: ['log'] }))
  })
})
