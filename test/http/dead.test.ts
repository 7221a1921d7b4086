import { expect, test } from 'vitest'
import type { Settlement } from '../../src/domain/delivery.ts'
import { newUid } from '../../src/domain/names.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { createReadDeadCauses } from '../../src/monitoring/dead-causes.ts'
import { detailOf, event, type OpsService, startOps } from './ops-service.ts'

const cause = (id: string) => ({ id, signature: `no ${id}`, at: 'log.ts:3', handler: 'log', source: 'ai' })

/** Events whose delivery died of this cause; their uids. */
async function dead(store: OpenStore, id: string, count: number): Promise<readonly string[]> {
  const events = Array.from({ length: count }, () => event())
  for (const each of events) await store.append(each)
  const limits = { sharedLimit: 100, isolatedLimit: 100, leaseMs: 60_000, maxAttempts: 5 }
  const { work } = await store.claim({ handlers: [{ name: 'log', limit: 100 }], ...limits })
  await store.settle(
    work.map(
      ({ deliveryId, lease }): Settlement => ({
        deliveryId,
        lease,
        verdict: 'dead',
        outcome: 'failed',
        isolate: false,
        error: `no ${id} 17`,
        cause: cause(id),
        dueAtMs: 0,
        startedAtMs: Date.now(),
        durationMs: 1,
      }),
    ),
  )
  return events.map(({ uid }) => uid)
}

const post = async ({ get }: OpsService, path: string, body: object = {}): Promise<Response> =>
  get(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
const read = async (answer: Response | Promise<Response>) => (await answer).json() as Promise<Record<string, unknown>>

test('dead deliveries are listed by cause, most first, page by page, with the trend of a day', async () => {
  const ops = await startOps()
  await dead(ops.store, 'c1', 1)
  await dead(ops.store, 'c2', 3)
  const { items, unnamed, next_cursor } = await read(ops.get('/v1/dead?limit=1'))
  expect(items).toEqual([
    {
      cause: 'c2',
      error: 'no c2',
      at: 'log.ts:3',
      handler: 'log',
      source: 'ai',
      count: 3,
      first_at: expect.any(String),
      last_at: expect.any(String),
      hourly: [...Array.from({ length: 23 }, () => 0), 3],
    },
  ])
  expect(unnamed).toBe(0)
  const rest = await read(ops.get(`/v1/dead?limit=1&cursor=${String(next_cursor)}`))
  expect(rest).toMatchObject({ items: [{ cause: 'c1', count: 1 }], next_cursor: null })
  expect(await read(ops.get('/v1/dead?cause=c1'))).toMatchObject({ items: [{ cause: 'c1' }] })
  expect(await read(ops.get('/v1/dead?handler=other'))).toMatchObject({ items: [] })
  expect(await read(ops.get('/v1/dead?since=2999-01-01T00:00:00Z'))).toMatchObject({ items: [] })
  expect(await read(ops.get('/v1/deliveries?state=dead&cause=c1'))).toMatchObject({ items: [{ cause: 'c1' }] })
  expect(await detailOf(await ops.get('/v1/dead?cursor=x'), 400)).toContain('cursor')
})

test('the detail of an event tells the cause of each failed attempt', async () => {
  const ops = await startOps()
  const [uid = ''] = await dead(ops.store, 'c1', 1)
  expect(await read(ops.get(`/v1/events/${uid}`))).toMatchObject({
    deliveries: [{ state: 'dead', cause: 'c1', history: [{ outcome: 'failed', cause: 'c1' }] }],
  })
})

test('the dead deliveries of one event are discarded, and a second discard says that there are none', async () => {
  const ops = await startOps()
  const [uid = ''] = await dead(ops.store, 'c1', 1)
  expect((await post(ops, `/v1/events/${uid}/discard`, { handler: 'other' })).status).toBe(404)
  expect((await post(ops, `/v1/events/${newUid()}/discard`)).status).toBe(404)
  expect(await read(post(ops, `/v1/events/${uid}/discard`, { handler: 'log' }))).toEqual({ uid, handlers: ['log'] })
  expect(await read(post(ops, `/v1/events/${uid}/discard`))).toEqual({ uid, handlers: [] })
  expect(await read(ops.get('/v1/deliveries?state=discarded'))).toMatchObject({ items: [{ event_uid: uid }] })
})

test('dead deliveries are discarded by filter, and a dry run tells before how many', async () => {
  const ops = await startOps()
  await dead(ops.store, 'c1', 7)
  await dead(ops.store, 'c2', 1)
  const filter = { cause: 'c1', source: 'ai', type: 'completion.*' }
  const told = await read(post(ops, '/v1/deliveries/discard', { filter, dry_run: true }))
  expect(told).toMatchObject({ matched: 7, sample: [{ cause: 'c1' }, {}, {}, {}, {}] })
  expect(await read(post(ops, '/v1/deliveries/discard', { filter }))).toEqual({ discarded: 7 })
  expect(await read(post(ops, '/v1/deliveries/discard', { filter }))).toEqual({ discarded: 0 })
  expect(await detailOf(await post(ops, '/v1/deliveries/discard', { filter: {} }), 400)).toContain('"all": true')
  const noTime = { filter: { since: '2026-12-31T23:59:60Z' } }
  expect(await detailOf(await post(ops, '/v1/deliveries/discard', noTime), 400)).toBe('since is not a time')
  expect(await read(post(ops, '/v1/deliveries/discard', { filter: {}, all: true }))).toEqual({ discarded: 1 })
  const { items } = await read(ops.get('/v1/audit'))
  expect(items).toMatchObject([
    { action: 'delivery.discard', target: 'all', count: 1 },
    { action: 'delivery.discard', target: 'cause=c1 source=ai type=completion.*', count: 7 },
  ])
})

test('causes are counted once for all who ask within a second, and longer if counting takes long', async () => {
  let nowMs = 0
  let counted = 0
  const one = { ...cause('c1'), count: 1, isCapped: false, firstAtMs: 0, lastAtMs: 0, hourly: [] }
  const causes = createReadDeadCauses(
    {
      deadCauses: async () => {
        counted++
        nowMs += 500
        return { causes: [one], unnamed: 2 }
      },
    },
    () => nowMs,
  )
  const answers = await Promise.all([causes({}), causes({ cause: 'c1' }), causes({ source: 'other' })])
  expect(answers.map(({ causes: found, unnamed }) => [found.length, unnamed])).toEqual([
    [1, 2],
    [1, 0],
    [0, 0],
  ])
  nowMs += 4_900
  await causes({})
  expect(counted).toBe(1)
  nowMs += 200
  await causes({})
  expect(counted).toBe(2)
  await causes({ sinceMs: 1 })
  expect(counted).toBe(3)
})
