import { expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { startDispatcher } from './start-dispatcher.ts'

/** How many attempts run at once, extra capacity included. A busy machine leases few more ahead. */
const AT_ONCE = 10

const appendMany = (
  append: (handlers: readonly string[], data: Record<string, unknown>, tell: boolean) => Promise<string>,
  count: number,
) => Promise.all(Array.from({ length: count }, () => append(['ok'], {}, false)))

test('the backlog of a quick handler is leased in batches that are larger than what runs at once, and each delivery runs once', async () => {
  const { append, dispatcher, store, claims, reports } = await startDispatcher()
  await appendMany(append, 700)
  dispatcher.wake()
  await eventually(
    () => store.counts(),
    ({ deliveries }) => deliveries.succeeded === 700,
  )
  expect(Math.max(...claims)).toBeGreaterThan(AT_ONCE)
  expect(reports).toHaveLength(700)
})

test('nothing is leased ahead for a handler with one attempt, since a lease lost with the service would be its last', async () => {
  const policies = { ok: { retry: { maxAttempts: 1 } } }
  const { append, dispatcher, store, claims } = await startDispatcher({ policies, concurrency: 8 })
  await appendMany(append, 300)
  dispatcher.wake()
  await eventually(
    () => store.counts(),
    ({ deliveries }) => deliveries.succeeded === 300,
  )
  expect(Math.max(...claims)).toBeLessThanOrEqual(8)
})

test('a dispatcher that stops gives back what it has leased ahead, uncounted', async () => {
  const { append, dispatcher, store, claims } = await startDispatcher()
  const uids = await appendMany(append, 1_500)
  dispatcher.wake()
  await eventually(
    async () => Math.max(...claims),
    (largest) => largest > AT_ONCE,
  )
  await dispatcher.stop(5_000, 0)
  const { pending, running, succeeded } = (await store.counts()).deliveries
  expect(running).toBe(0)
  expect(pending + succeeded).toBe(1_500)
  const all = await Promise.all(uids.map((uid) => store.event(uid)))
  const waiting = all.flatMap((event) => event?.deliveries ?? []).filter(({ state }) => state === 'pending')
  expect(waiting).toHaveLength(pending)
  expect(waiting.filter(({ attempts }) => attempts > 0)).toEqual([])
})

test('deliveries that a handler cannot start, because it has become slow, are given back after a second and run later', async () => {
  const { append, dispatcher, ended, store, logged } = await startDispatcher()
  const quick = await Promise.all(Array.from({ length: 400 }, () => append(['wait'], { ms: 0 }, false)))
  const slow = await Promise.all(Array.from({ length: 2 }, () => append(['wait'], { ms: 2_500 }, false)))
  const behind = await Promise.all(Array.from({ length: 40 }, () => append(['wait'], { ms: 0 }, false)))
  dispatcher.wake()
  await eventually(
    () => Promise.all(behind.map((uid) => store.event(uid))),
    (events) => events.some((event) => event?.deliveries[0]?.history[0]?.outcome === 'released'),
  )
  // One line tells of all, not one of each.
  const lines = logged.filter(({ msg }) => msg === 'gave back deliveries that were leased ahead')
  expect(lines[0]?.deliveries).toBeGreaterThan(0)
  expect(logged.filter(({ msg }) => msg === 'attempt released')).toEqual([])
  for (const uid of [...quick, ...slow, ...behind])
    expect(await ended(uid)).toMatchObject([{ state: 'succeeded', attempts: 1 }])
})
