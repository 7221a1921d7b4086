import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import { createOpsListener } from '../../src/http/ops/ops-listener.ts'
import type { EventJson } from '../../src/http/schemas/events.ts'
import { detailOf, event, opsDefaults, shareOps, startOps } from './ops-service.ts'
import { sourceState } from './wire-samples.ts'

interface List<Item> {
  readonly items: readonly Item[]
  readonly next_cursor: string | null
}

describe('a query of GET /v1/events', () => {
  const ops = shareOps()

  test.each([
    ['colour=red', 'colour'],
    ['limit=0', 'limit'],
    ['limit=201', 'limit'],
    ['limit=-1', 'limit must be >= 1'],
    ['limit=1.5', 'limit'],
    ['limit=abc', 'limit'],
    ['limit=', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['status=lost', 'accepted, unhandled, quarantined, conflict'],
    ['origin=', 'origin'],
    ['since=yesterday', 'since must be a time as 2026-11-03T04:00:00Z (RFC 3339)'],
    ['since=2026-01-01T00:00:00+02:00', 'since must be a time as 2026-11-03T04:00:00Z (RFC 3339); a + in a URL'],
    ['until=2026-01-01T00:00:00.5+0200', 'write %2B'],
    ['until=2026-12-31T23:59:60Z', 'until'],
    ['source=', 'source'],
    [`q=${'a'.repeat(300)}`, 'q'],
    ['q=%00', 'q must not hold a NUL'],
    ['q=a%00b', 'q must not hold a NUL'],
    ['type=a*%00', 'NUL'],
  ])('with ?%s gets 400, and the answer names the parameter', async (query, named) => {
    const { get } = ops()
    expect(await detailOf(await get(`/v1/events?${query}`), 400)).toContain(named)
  })

  test('with a cursor that the API never gave gets 400', async () => {
    const { get } = ops()
    await detailOf(await get('/v1/events?cursor=made-up'), 400)
  })
})

describe('GET /v1/events', () => {
  test('lists events newest first, page by page', async () => {
    const { get, store } = await startOps()
    const uids: string[] = []
    for (let i = 0; i < 5; i++) uids.push((await store.append(event())).uid)
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const page = (await (
        await get(`/v1/events?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`)
      ).json()) as List<EventJson>
      seen.push(...page.items.map(({ uid }) => uid))
      expect(page.items.length).toBeLessThanOrEqual(2)
      cursor = page.next_cursor
    } while (cursor !== null)
    expect(seen).toEqual(uids.toReversed())
  })

  test.each([
    ['source=forms'],
    ['type=batch.*'],
    ['status=unhandled'],
    ['origin=cli'],
    ['task=batch_1'],
    ['since=2026-03-01T00:00:00Z'],
    ['until=2026-02-01T00:00:00%2B01:00'],
    ['q=needle'],
  ])('lists with %s the matching events, and no others', async (query) => {
    const { get, store } = await startOps()
    const early = query.startsWith('until')
    await store.append(event({ receivedAtMs: Date.parse('2026-02-15T00:00:00Z') }))
    const wanted = event({
      source: 'forms',
      type: 'batch.completed',
      id: 'evt_needle',
      status: 'unhandled',
      origin: 'cli',
      task: 'batch_1',
      handlers: [],
      receivedAtMs: Date.parse(early ? '2026-01-31T22:59:59Z' : '2026-03-01T00:00:00Z'),
    })
    await store.append(wanted)
    const { items } = (await (await get(`/v1/events?${query}`)).json()) as List<EventJson>
    expect(items.map(({ uid }) => uid)).toEqual([wanted.uid])
  })

  test('answers 503 with Retry-After and without details when the store refuses', async () => {
    const { get, store } = await startOps()
    await store.close()
    const answer = await get('/v1/events')
    expect(answer.headers.get('retry-after')).toBe('5')
    expect(await detailOf(answer, 503)).toBe('undefined')
  })
})

describe('an event in the ops API', () => {
  test('is shown with its deliveries, their attempts and its headers', async () => {
    const { get, store } = await startOps()
    const { uid } = await store.append(event({ task: 'batch_1', apiVersion: 'v1' }))
    const claimed = await store.claim({
      handlers: [{ name: 'log', limit: 1 }],
      sharedLimit: 1,
      isolatedLimit: 0,
      leaseMs: 1_000,
      maxAttempts: 3,
    })
    const [work] = claimed.work
    if (work === undefined) throw new Error('nothing to claim')
    await store.settle([
      {
        ...work,
        verdict: 'dead',
        outcome: 'rejected',
        isolate: false,
        dueAtMs: 1_000,
        error: 'no',
        startedAtMs: 900,
        durationMs: 7,
      },
    ])
    const shown = (await (await get(`/v1/events/${uid}`)).json()) as object
    expect(shown).toMatchObject({
      uid,
      task: 'batch_1',
      api_version: 'v1',
      headers: { 'content-type': 'application/json' },
      deliveries: [
        {
          handler: 'log',
          state: 'dead',
          last_error: 'no',
          history: [{ number: 1, outcome: 'rejected', duration_ms: 7 }],
        },
      ],
    })
    const dead = (await (await get('/v1/deliveries?state=dead&handler=log&source=ai')).json()) as List<object>
    expect(dead).toMatchObject({ items: [{ event_uid: uid, state: 'dead' }], next_cursor: null })
    const pending = (await (await get('/v1/deliveries?state=pending')).json()) as List<object>
    expect(pending.items).toEqual([])
    const of = (await (await get(`/v1/deliveries?event_uid=${uid}`)).json()) as List<object>
    expect(of.items).toHaveLength(1)
  })

  test('has its exact bytes as a download with a digest', async () => {
    const { get, store } = await startOps()
    const body = Buffer.from([0, 255, 254, 13, 10, 123])
    const { uid } = await store.append(event({ body }))
    const answer = await get(`/v1/events/${uid}/body`)
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(body)
    expect(answer.headers.get('content-type')).toBe('application/octet-stream')
    expect(answer.headers.get('content-disposition')).toBe(`attachment; filename="${uid}.bin"`)
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('repr-digest')).toBe(`sha-256=:${createHash('sha256').update(body).digest('base64')}:`)
  })
})

test('an event and a task are told without what beside them cannot be read, or not in time', async () => {
  const { store } = await startOps()
  const given = opsDefaults(store)
  const { uid } = await store.append(event())
  await given.tasks.begin({ source: 'ai', work: { taskId: 'task_1' } })
  const app = createOpsListener({
    ...given,
    store: Object.assign(store, { beside: async () => Promise.withResolvers<never>().promise }),
    tasks: { ...given.tasks, questions: async () => Promise.reject(new Error('a damaged page')) },
  })
  const read = async (url: string) => (await app.inject({ url, headers: { host: 'localhost' } })).json()
  const [told, toldTask] = await Promise.all([read(`/v1/events/${uid}`), read('/v1/tasks/ai/task_1')])
  expect(told).toMatchObject({ uid, deliveries: [{ handler: 'log' }] })
  expect(told).not.toHaveProperty('beside')
  expect(toldTask).toMatchObject({ task_id: 'task_1', status: 'pending' })
  expect(toldTask).not.toHaveProperty('questions')
})

describe('a request to the ops API for an event that does not exist', () => {
  const ops = shareOps()

  test.each([newUid(), 'nope', '__proto__', '..%2f..%2fetc', 'a'.repeat(2_000)])('gets 404: %s', async (uid) => {
    const { get } = ops()
    await detailOf(await get(`/v1/events/${uid}`), 404)
    await detailOf(await get(`/v1/events/${uid}/body`), 404)
  })
})

describe('the ops API', () => {
  const ops = shareOps()

  test('suggests sources that are configured, also if nothing has come, and those of stored events', async () => {
    const { store, get } = await startOps()
    await store.append(event({ source: 'removed' }))
    const { items } = (await (await get('/v1/suggest?field=source')).json()) as { items: string[] }
    expect(items).toEqual(expect.arrayContaining(['ai', 'removed']))
    expect(items).toEqual(items.toSorted())
  })

  test('lists sources and handlers without any secret', async () => {
    const { get } = ops()
    expect(await (await get('/v1/sources')).json()).toEqual({
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
    })
    expect(await (await get('/v1/handlers')).json()).toMatchObject({
      items: [{ name: 'log', types: ['completion.*'], source: null, concurrency: null, rate: null }],
    })
  })

  test('gives /metrics as text for Prometheus, and as a summary to clients that accept JSON', async () => {
    const { get } = ops()
    const prometheus = 'application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
    const text = await get('/metrics', { headers: { accept: prometheus } })
    expect(text.headers.get('content-type')).toMatch(/^text\/plain/)
    expect(await text.text()).toContain('holdfast_deliveries{state="pending"} 0')
    const json = await get('/metrics', { headers: { accept: 'application/json' } })
    expect(json.headers.get('content-type')).toMatch(/^application\/json/)
    expect(Object.keys((await json.json()) as object)).toEqual([
      'events_received',
      'events_processed',
      'events_failed',
      'unhandled_events',
      'avg_processing_time_ms',
      'registered_handlers',
    ])
  })

  test.each([
    ['/v1/events', 'DELETE', 'GET'],
    ['/v1/events/x/replay', 'GET', 'POST'],
    ['/metrics', 'POST', 'GET'],
    ['/livez', 'PUT', 'GET, HEAD'],
  ])('answers, at %s, the method %s with 405 and names the methods that it takes', async (path, method, allow) => {
    const { get } = ops()
    const answer = await get(path, { method })
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, allow])
  })
})
