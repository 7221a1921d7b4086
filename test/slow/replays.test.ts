import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { ReplayDetailJson } from '../../src/http/schemas/replays.ts'
import { openStore } from '../../src/storage/open.ts'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { handlersIn, type Service, startService, temporaryDirectory } from '../support/service.ts'

/** A fresh event reaches its handler within this time, from its receipt to the start of its first attempt. */
const MAX_FRESH_MS = 1_000
const FRESH_INTERVAL_MS = 100
/** A cancelled replay makes nothing due any more after this time. */
const MAX_CANCEL_MS = 1_000
/** From the start of the service that takes a replay over: the lease of the one that was killed has to end. */
const MAX_TAKEOVER_MS = 15_000

const HANDLERS = `export default (router) => {
  router.on('bulk.*', { name: 'work' }, () => {})
  router.on('slow.*', { name: 'slow' }, () => new Promise((end) => setTimeout(end, 900)))
}`

/** Stores events that their handler has succeeded with. */
async function fill(databaseUrl: string, count: number, type: string, handler: string): Promise<void> {
  const store = await openStore(databaseUrl)
  const body = Buffer.from(JSON.stringify({ id: 'evt', type, created_at: '2026-01-01T00:00:00Z', data: {} }))
  const made = (): NewEvent => {
    const uid = newUid()
    const event = { uid, source: 'ai', provider: 'ai', id: uid, type, createdAt: '2026-01-01T00:00:00Z' } as const
    const rest = { receivedAtMs: Date.now(), origin: 'webhook', status: 'accepted', reasons: [], headers: {} } as const
    return { ...event, ...rest, createdAtSource: 'provider', body, handlers: [handler] }
  }
  for (let at = 0; at < count; at += 2_000)
    await Promise.all(Array.from({ length: Math.min(2_000, count - at) }, () => store.append(made())))
  for (let left = count; left > 0; ) {
    const limits = { sharedLimit: 1_000, isolatedLimit: 1, leaseMs: 60_000, maxAttempts: 5 }
    const { work } = await store.claim({ handlers: [{ name: handler, limit: 1_000 }], ...limits })
    const now = { dueAtMs: Date.now(), startedAtMs: Date.now(), durationMs: 0, isolate: false } as const
    await store.settle(
      work.map(({ deliveryId, lease }) => ({ deliveryId, lease, verdict: 'succeeded', outcome: 'succeeded', ...now })),
    )
    left -= work.length
  }
  await store.close()
}

/** Posts an event of the type every now and then. `stop` resolves with how long each waited for its handler. */
function postFresh(service: () => Service, type: string): { readonly stop: () => Promise<readonly number[]> } {
  const uids: string[] = []
  let isStopped = false
  const done = (async () => {
    while (!isStopped) {
      uids.push((await post(service().publicUrl, signedEvent(type))).uid)
      await new Promise((resolve) => setTimeout(resolve, FRESH_INTERVAL_MS))
    }
  })()
  return {
    stop: async () => {
      isStopped = true
      await done
      const waits: number[] = []
      for (const uid of uids) {
        const { received_at, deliveries } = await eventually(
          () => service().api(`/v1/events/${uid}`),
          (event) => event.deliveries[0]?.history.length > 0,
        )
        waits.push(Date.parse(deliveries[0].history[0].started_at) - Date.parse(received_at))
      }
      return waits
    },
  }
}

const show = (service: Service, id: string): Promise<ReplayDetailJson> => service.api(`/v1/replays/${id}`)
const create = (service: Service, order: object): Promise<{ readonly id: string; readonly matched: number }> =>
  service.api('/v1/replays', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(order),
  })
const progress = (service: Service, id: string, events: number, withinMs = 150_000): Promise<ReplayDetailJson> =>
  eventually(
    () => show(service, id),
    ({ replayed }) => replayed >= events,
    withinMs,
  )
const whenOver = (service: Service, id: string): Promise<ReplayDetailJson> =>
  eventually(
    () => show(service, id),
    ({ state, outcomes }) => state !== 'running' && outcomes.every(({ pending }) => pending === 0),
    240_000,
  )

describe.each([
  ['the embedded store', 50_000, (directory: string) => `file:${join(directory, 'holdfast.db')}`],
  ['PostgreSQL', 50_000, () => ownSchema()],
])('a replay of many events with %s (%i events)', (_name, count, databaseUrlIn) => {
  let directory = ''
  let environment: Record<string, string> = {}
  let service: Service
  const start = async (): Promise<void> => {
    service = await startService(environment, directory)
  }
  beforeEach(() => {
    directory = temporaryDirectory(() => {})
    const HANDLERS_DIR = handlersIn(directory, { 'work.js': HANDLERS })
    environment = { HANDLERS_DIR, DATABASE_URL: databaseUrlIn(directory), LOG_LEVEL: 'warn', HANDLER_PROCESSES: '2' }
  })
  afterEach(() => service.stop())

  test('lets fresh events through within a second, stops when it is cancelled, goes on after a SIGKILL, and counts right', async () => {
    await fill(environment.DATABASE_URL ?? '', count, 'bulk.made', 'work')
    environment.LOG_LEVEL = 'info'
    await start()
    const filter = { type: 'bulk.made' }
    const first = await create(service, { filter })
    expect(first.matched).toBe(count)
    await expect(create(service, { filter })).rejects.toThrow(/409/)
    const freshDuringFirst = postFresh(() => service, 'bulk.fresh')
    const startedAtMs = performance.now()
    const { replayed } = await progress(service, first.id, count / 2)
    const perSecond = Math.round((replayed / (performance.now() - startedAtMs)) * 1_000)
    await service.api(`/v1/replays/${first.id}`, { method: 'DELETE' })
    await new Promise((resolve) => setTimeout(resolve, MAX_CANCEL_MS))
    const stopped = await show(service, first.id)
    await new Promise((resolve) => setTimeout(resolve, 500))
    const cancelled = await whenOver(service, first.id)
    const firstWaits = await freshDuringFirst.stop()

    const second = await create(service, { filter })
    await progress(service, second.id, count / 2)
    await service.kill()
    const killedAtMs = performance.now()
    await start()
    const before = await show(service, second.id)
    await progress(service, second.id, before.replayed + 1)
    const takeoverMs = performance.now() - killedAtMs
    const freshDuringSecond = postFresh(() => service, 'bulk.fresh')
    const over = await whenOver(service, second.id)
    const secondWaits = await freshDuringSecond.stop()

    const slowest = Math.max(...firstWaits, ...secondWaits)
    console.log(
      `${count} events at ${perSecond} a second; of ${firstWaits.length + secondWaits.length} fresh events the slowest waited ${slowest} ms; goes on ${Math.round(takeoverMs)} ms after SIGKILL`,
    )
    expect.soft(slowest).toBeLessThan(MAX_FRESH_MS)
    expect.soft(stopped).toMatchObject({ state: 'cancelled', replayed: cancelled.replayed })
    expect.soft(cancelled.replayed).toBeLessThan(count)
    const none = { pending: 0, failing: 0, dead: 0, discarded: 0 }
    // The deliveries that the second replay has taken over still count for the first.
    const [ofFirst] = (await show(service, first.id)).outcomes
    expect.soft(ofFirst).toEqual({ handler: 'work', ...none, succeeded: cancelled.replayed })
    expect.soft(over).toMatchObject({ state: 'done', matched: count, replayed: count, skipped: 0 })
    expect.soft(over.outcomes).toEqual([{ handler: 'work', ...none, succeeded: count }])
    expect.soft(takeoverMs).toBeLessThan(MAX_TAKEOVER_MS)
  })

  test('leaves capacity for fresh events of a handler that takes its time', async () => {
    await fill(environment.DATABASE_URL ?? '', 300, 'slow.made', 'slow')
    environment.LOG_LEVEL = 'info'
    await start()
    const { id } = await create(service, { filter: { type: 'slow.made' } })
    const fresh = postFresh(() => service, 'slow.fresh')
    await progress(service, id, 100)
    const waits = await fresh.stop()
    await service.api(`/v1/replays/${id}`, { method: 'DELETE' })
    console.log(`of ${waits.length} fresh events of a slow handler the slowest waited ${Math.max(...waits)} ms`)
    expect(Math.max(...waits)).toBeLessThan(MAX_FRESH_MS)
  })
})
