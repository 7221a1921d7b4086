import { connect } from 'node:net'
import pino from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import { MAX_LIVE_READERS } from '../../src/domain/live.ts'
import { LiveFeed } from '../../src/monitoring/live-events.ts'
import { claimOne, settlement } from '../contract/store-samples.ts'
import { openStream } from '../support/event-stream.ts'
import { eventually } from '../support/eventually.ts'
import { openEmptyStore } from '../support/sqlite/store.ts'
import { detailOf, event, type OpsService, startOps } from './ops-service.ts'

const DEAD = { verdict: 'dead', outcome: 'failed', error: 'no' } as const

const append = async ({ store }: OpsService, overrides: Partial<NewEvent> = {}): Promise<string> =>
  (await store.append(event(overrides))).uid

describe('GET /v1/live', () => {
  test('streams every event as it is stored, of every status, as an item of the list', async () => {
    const service = await startOps()
    await append(service, { id: 'before' })
    const stream = await openStream(`${service.url}/v1/live`)
    expect(stream.answer.status).toBe(200)
    expect(Object.fromEntries(stream.answer.headers)).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
    })
    await append(service, { id: 'same' })
    await append(service, { id: 'same', body: Buffer.from('another') })
    await append(service, { status: 'unhandled', handlers: [] })
    await append(service, { status: 'quarantined', reasons: ['because'], handlers: [] })
    const messages = await stream.take(4)
    expect(messages.map(({ event: name }) => name)).toEqual(Array.from({ length: 4 }, () => 'event'))
    expect(messages[0]?.text).toMatch(/^retry: \d+$/m)
    const { items } = (await (await service.get('/v1/events?limit=4')).json()) as { items: unknown[] }
    expect(messages.map(({ data }) => data)).toEqual(items.toReversed())
    expect(messages.map(({ data }) => data.status)).toEqual(['accepted', 'conflict', 'unhandled', 'quarantined'])
  })

  test('goes on after the Last-Event-ID, or the same in the query, without a gap or a double', async () => {
    const service = await startOps()
    const stream = await openStream(`${service.url}/v1/live`)
    const sent: string[] = []
    for (let nth = 0; nth < 3; nth++) sent.push(await append(service))
    const [first, second] = await stream.take(2)
    stream.close()
    for (let nth = 0; nth < 300; nth++) sent.push(await append(service))

    const after = async (id: string | undefined, inQuery: boolean, count: number) => {
      const again = inQuery
        ? await openStream(`${service.url}/v1/live?last_event_id=${id}`)
        : await openStream(`${service.url}/v1/live`, { 'last-event-id': String(id) })
      const uids = (await again.take(count)).map(({ data }) => data.uid)
      again.close()
      return uids
    }
    expect(await after(second?.id, false, 301)).toEqual(sent.slice(2))
    expect(await after(first?.id, true, 302)).toEqual(sent.slice(1))
  })

  test('a client that loses the connection before its first event misses none', async () => {
    const service = await startOps()
    await append(service)
    const stream = await openStream(`${service.url}/v1/live?type=nothing`)
    const reading = stream.next()
    await eventually(async () => stream.lastId(), Boolean)
    stream.close()
    await reading
    const uid = await append(service)
    const again = await openStream(`${service.url}/v1/live`, { 'last-event-id': stream.lastId() })
    expect((await again.next())?.data.uid).toBe(uid)
  })

  test.each([
    ['source=forms', { source: 'forms' }],
    ['type=invoice.*', { type: 'invoice.paid' }],
    ['type=invoice.paid', { type: 'invoice.paid' }],
    ['status=quarantined', { status: 'quarantined', handlers: [] }],
    ['origin=poll', { origin: 'poll' }],
    ['task=job_1', { task: 'job_1' }],
    ['q=EEDLE', { id: 'needle' }],
    ['contains=GR%C3%9CN', { body: Buffer.from('{"colour":"grün"}') }],
    ['match=data.plan:gold&type=*', { body: Buffer.from('{"data":{"plan":"gold"}}') }],
    ['outcome=none', { status: 'unhandled', handlers: [] }],
    ['outcome=pending&contains=GOLD', { body: Buffer.from('"gold"') }],
    ['outcome=pending&source=forms', { source: 'forms' }],
  ] as const)('with the filter %s, streams only events that match, as the list has them', async (query, overrides) => {
    const service = await startOps()
    const stream = await openStream(`${service.url}/v1/live?${query}`)
    await append(service)
    const uid = await append(service, overrides)
    await append(service)
    const last = await append(service, { ...overrides, id: 'needle 2' })
    expect((await stream.take(2)).map(({ data }) => data.uid)).toEqual([uid, last])
    const { items } = (await (await service.get(`/v1/events?${query}`)).json()) as { items: { uid: string }[] }
    expect(items.map((item) => item.uid)).toEqual([last, uid])
  })

  test('with an outcome, streams each event once, when it gets that outcome, also if it was stored before', async () => {
    const service = await startOps()
    const { store } = service
    const die = async (): Promise<void> => {
      await store.settle([settlement(await claimOne(store, { handlers: [{ name: 'log', limit: 1 }] }), DEAD)])
    }
    await append(service)
    await die()
    const before = await append(service)
    const stream = await openStream(`${service.url}/v1/live?outcome=dead`)
    const [later] = [await append(service), await append(service)]
    await die()
    const first = await stream.next()
    expect(first?.data).toMatchObject({ uid: before, outcome: 'dead' })
    await die()
    const second = await stream.next()
    expect(second?.data).toMatchObject({ uid: later, outcome: 'dead' })
    expect(Number(second?.id)).toBeGreaterThanOrEqual(Number(first?.id))
    stream.close()
    // One that comes back begins with what gets the outcome from then on, of all events.
    const again = await openStream(`${service.url}/v1/live?outcome=dead&contains=completion`, {
      'last-event-id': String(second?.id),
    })
    await eventually(async () => again.lastId(), Boolean)
    await die()
    expect((await again.next())?.data.outcome).toBe('dead')
    const since = new Date(Date.now() - 60_000).toISOString()
    const all = await openStream(`${service.url}/v1/live?outcome=dead&since=${since}`)
    expect(await all.take(4)).toHaveLength(4)
  })

  test('with since, begins with the stored events of that time', async () => {
    const service = await startOps()
    const now = Date.now()
    await append(service, { receivedAtMs: now - 120_000 })
    const recent = await append(service, { receivedAtMs: now - 30_000 })
    const stream = await openStream(`${service.url}/v1/live?since=${new Date(now - 60_000).toISOString()}`)
    const later = await append(service)
    expect((await stream.take(2)).map(({ data }) => data.uid)).toEqual([recent, later])
  })

  test.each([
    ['outcome=nonsense', 'outcome'],
    ['match=nonsense', 'match'],
    ['until=2026-01-01T00:00:00Z', 'no end'],
    ['limit=5', 'no pages'],
    ['cursor=abc', 'last_event_id'],
    ['nonsense=1', 'unknown query parameter nonsense'],
    ['status=nonsense', 'status'],
    ['last_event_id=abc', 'last_event_id'],
    ['since=soon', 'since'],
  ])('refuses %s with 400, and says why', async (query, message) => {
    const service = await startOps()
    expect(await detailOf(await service.get(`/v1/live?${query}`), 400)).toContain(message)
  })

  test('refuses a Last-Event-ID that it never gave, and begins now after one that this store has not reached', async () => {
    const service = await startOps()
    const refused = await service.get('/v1/live', { headers: { 'last-event-id': 'x' } })
    expect(await detailOf(refused, 400)).toContain('Last-Event-ID')
    await append(service)
    const stream = await openStream(`${service.url}/v1/live`, { 'last-event-id': '999999' })
    const uid = await append(service)
    expect((await stream.next())?.data.uid).toBe(uid)
  })

  test('refuses one reader more than its limit with 429, and takes one when another has gone', async () => {
    const service = await startOps()
    const streams = await Promise.all(
      Array.from({ length: MAX_LIVE_READERS }, () => openStream(`${service.url}/v1/live`)),
    )
    const refused = await service.get('/v1/live')
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(await detailOf(refused, 429)).toContain(String(MAX_LIVE_READERS))
    streams[0]?.close()
    await eventually(
      async () => (await openStream(`${service.url}/v1/live`)).answer.status,
      (status) => status === 200,
    )
  })

  test('ends each stream with the event over when the service stops, and refuses new ones', async () => {
    const store = await openEmptyStore()
    onTestFinished(() => store.close())
    const live = new LiveFeed({ store, log: pino({ level: 'silent' }) })
    const service = await startOps({ live })
    const stream = await openStream(`${service.url}/v1/live`)
    live.close()
    expect(await stream.next()).toMatchObject({ event: 'over', data: { reason: 'stopping' } })
    expect(await stream.next()).toBeUndefined()
    expect((await service.get('/v1/live')).status).toBe(503)
  })

  test('a client that closes only its side of the connection frees its place', async () => {
    const service = await startOps()
    for (let nth = 0; nth < MAX_LIVE_READERS + 8; nth++) {
      const socket = connect(service.port, '127.0.0.1')
      onTestFinished(() => void socket.destroy())
      await new Promise<void>((resolve) => {
        socket.once('data', () => resolve())
        socket.write('GET /v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n')
      })
      socket.end()
      await new Promise((resolve) => socket.once('close', resolve))
    }
  })
})
