import { Writable } from 'node:stream'
import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { Retention, type RetentionOptions } from '../../src/app/retention.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { claimOne, claimRequest, newEvent, START_MS, settlement } from '../contract/store-samples.ts'
import { ownPath } from '../storage/database-file.ts'
import { eventually } from '../support/eventually.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const WAITS = { retryMs: HOUR_MS, retryAfterMs: 7 * DAY_MS, pollMs: HOUR_MS, leaseMs: HOUR_MS }

/** A clock that may be set, and one that may not. */
const time = () => ({ wallMs: START_MS, monotonicMs: 0 })
type Time = ReturnType<typeof time>
function pass(at: Time, ms: number): void {
  at.wallMs += ms
  at.monotonicMs += ms
}

async function open(path: string, at: Time): Promise<OpenStore> {
  const store = await openStore(`file:${path}`, { clock: () => at.wallMs })
  onTestFinished(() => store.close())
  return store
}

function retentionOf(store: OpenStore, at: Time, given: Partial<RetentionOptions> = {}) {
  const lines: Record<string, unknown>[] = []
  const output = new Writable({
    write(chunk, _, done) {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  let wakes = 0
  const retention = new Retention({
    store,
    retentionDays: 30,
    deadRetentionDays: 30,
    waits: () => WAITS,
    onRepaired: () => wakes++,
    log: pino(output),
    monotonicMs: () => at.monotonicMs,
    ...given,
  })
  onTestFinished(() => retention.stop())
  const said = (text: string) => lines.filter(({ msg }) => String(msg).includes(text))
  return { retention, lines, said, wakes: () => wakes }
}

async function makeDead(store: OpenStore, receivedAtMs: number) {
  const event = newEvent({ receivedAtMs })
  await store.append(event)
  await store.settle([settlement(await claimOne(store), { verdict: 'dead', outcome: 'rejected' })])
  return event
}

const kept = async (store: OpenStore): Promise<number> => (await store.events({}, { limit: 100 })).items.length

test('a start with a clock that is ahead forgets nothing and logs it, and the next start with a right clock brings the times back', async () => {
  const path = ownPath()
  const at = time()
  let store = await open(path, at)
  await makeDead(store, START_MS)
  await retentionOf(store, at).retention.pass()
  await store.close()

  const ahead = { wallMs: START_MS + 40 * DAY_MS, monotonicMs: 0 }
  store = await open(path, ahead)
  const event = newEvent({ receivedAtMs: ahead.wallMs })
  await store.append(event)
  const wrong = retentionOf(store, ahead)
  await wrong.retention.pass()
  expect(await kept(store)).toBe(2)
  expect(wrong.retention.state()).toMatchObject({ isHeld: true })
  expect(wrong.said('the clock seems to have jumped')).toEqual([
    expect.objectContaining({ level: 40, clock: '2027-01-02T10:00:00.000Z', last_known: '2026-11-23T10:00:00.000Z' }),
  ])
  await store.close()

  pass(at, HOUR_MS)
  at.monotonicMs = 0
  store = await open(path, at)
  expect((await store.claim(claimRequest())).work).toEqual([])
  const right = retentionOf(store, at)
  await right.retention.pass()
  expect(right.retention.state()).toMatchObject({ isHeld: false })
  expect(right.wakes()).toBe(1)
  expect(right.said('they were set to now')).toEqual([expect.objectContaining({ events: 1, deliveries: 1 })])
  expect((await claimOne(store)).event).toMatchObject({ uid: event.uid, receivedAtMs: at.wallMs })
  expect(await kept(store)).toBe(2)
})

test('a service that was stopped for forty days forgets old events a day after its start', async () => {
  const path = ownPath()
  const at = time()
  let store = await open(path, at)
  await store.append(newEvent({ receivedAtMs: START_MS, handlers: [] }))
  await retentionOf(store, at).retention.pass()
  await store.close()

  at.wallMs += 40 * DAY_MS
  store = await open(path, at)
  const { retention, said } = retentionOf(store, at)
  await retention.pass()
  for (let hours = 1; hours <= 23; hours++) {
    pass(at, HOUR_MS)
    await retention.pass()
  }
  expect(await kept(store)).toBe(1)
  expect(said('the clock seems to have jumped')).toHaveLength(1)
  pass(at, HOUR_MS)
  await retention.pass()
  expect(await kept(store)).toBe(0)
  expect(said('the clock is trusted')).toHaveLength(1)
  expect(retention.state()).toMatchObject({ isHeld: false })
})

test('retention goes on at once after an operator confirms the clock, and refuses a confirmation that is not needed', async () => {
  const at = time()
  const store = await open(ownPath(), at)
  await makeDead(store, START_MS)
  const { retention, said } = retentionOf(store, at)
  retention.start()
  await eventually(
    async () => retention.state().deadExpiring,
    (expiring) => expiring === 0,
  )
  await expect(retention.resume(at.wallMs)).rejects.toMatchObject({ code: 'conflict' })
  expect(retention.warnings()).toEqual([])

  at.wallMs += 40 * DAY_MS
  await retention.pass()
  const old = { days: [{ day: '2026-11-23', events: 1, dead: 1 }], more: false }
  expect(await retention.report()).toEqual({
    isHeld: true,
    clockMs: at.wallMs,
    trustedAtMs: START_MS,
    steadyHours: 0,
    retentionDays: 30,
    deadRetentionDays: 30,
    old,
  })
  expect(retention.warnings()).toEqual([expect.stringContaining('holdfast retention resume')])
  expect(said('holdfast retention resume')).toHaveLength(1)
  await expect(retention.resume(START_MS)).rejects.toMatchObject({ code: 'conflict' })
  expect(await kept(store)).toBe(1)

  expect(await retention.resume(at.wallMs)).toEqual({
    isHeld: false,
    clockMs: at.wallMs,
    trustedAtMs: at.wallMs,
    steadyHours: undefined,
  })
  await eventually(
    () => kept(store),
    (left) => left === 0,
  )
  await eventually(
    async () => retention.state().isHeld,
    (isHeld) => !isHeld,
  )
  expect(retention.warnings()).toEqual([])
  expect((await retention.report()).old.days).toEqual([])
})

test('an operator’s confirmation during a look at the clock takes effect right after that look', async () => {
  const path = ownPath()
  const at = time()
  const store = await open(path, at)
  await makeDead(store, START_MS)
  at.wallMs += 40 * DAY_MS
  const looked = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const slow: RetentionOptions['store'] = {
    audit: store.audit,
    replayJobs: store.replayJobs,
    judgeClock: (look) => store.judgeClock(look),
    repairTimes: async (waits) => {
      looked.resolve()
      await goOn.promise
      return store.repairTimes(waits)
    },
    prune: (request) => store.prune(request),
    pruneTasks: (endedBeforeMs, limit) => store.pruneTasks(endedBeforeMs, limit),
    countOld: (bounds) => store.countOld(bounds),
    countDead: (receivedBeforeMs) => store.countDead(receivedBeforeMs),
    pruneStats: (old) => store.pruneStats(old),
    pruneDrift: (entries, shapes) => store.pruneDrift(entries, shapes),
  }
  const { retention, said } = retentionOf(store, at, { store: slow })
  retention.start()
  await looked.promise
  await retention.resume(at.wallMs)
  goOn.resolve()
  await eventually(
    () => kept(store),
    (left) => left === 0,
  )
  await expect.poll(() => said('old events forgotten')).toHaveLength(1)
})

test('retention forgets nothing after the clock has jumped while the service runs, even by little where retention is short', async () => {
  for (const [retentionDays, jumpMs] of [
    [30, 40 * DAY_MS],
    [1, 23 * HOUR_MS],
  ] as const) {
    const at = time()
    const store = await open(ownPath(), at)
    const { retention } = retentionOf(store, at, { retentionDays, deadRetentionDays: retentionDays })
    await store.append(newEvent({ receivedAtMs: START_MS - 2 * HOUR_MS, handlers: [] }))
    await retention.pass()
    pass(at, HOUR_MS)
    at.wallMs += jumpMs
    await retention.pass()
    expect(await kept(store)).toBe(1)
    expect(retention.state().isHeld).toBe(true)
  }
})

test('a start with a clock that is behind loses no event that was received then, once the clock is set right', async () => {
  const path = ownPath()
  const at = time()
  let store = await open(path, at)
  await makeDead(store, START_MS)
  await retentionOf(store, at).retention.pass()
  await store.close()

  const behind = { wallMs: START_MS - 40 * DAY_MS, monotonicMs: 0 }
  store = await open(path, behind)
  const wrong = retentionOf(store, behind)
  await wrong.retention.pass()
  await makeDead(store, behind.wallMs)
  expect(wrong.retention.state().isHeld).toBe(true)
  await store.close()

  pass(at, HOUR_MS)
  at.monotonicMs = 0
  store = await open(path, at)
  const { retention } = retentionOf(store, at)
  await retention.pass()
  expect(await kept(store)).toBe(2)
  expect(retention.state()).toEqual({ isHeld: false, deadExpiring: 0 })
  pass(at, 30 * DAY_MS + HOUR_MS)
  await retention.pass()
  expect(await kept(store)).toBe(0)
})

test('an idle service forgets old events', async () => {
  const at = time()
  const store = await open(ownPath(), at)
  const { retention, said } = retentionOf(store, at)
  await makeDead(store, START_MS)
  await retention.pass()
  pass(at, 31 * DAY_MS)
  await retention.pass()
  expect(await kept(store)).toBe(0)
  expect(said('old events forgotten')).toEqual([expect.objectContaining({ pruned: 1, dead: 1, retention_days: 30 })])
})

test('dead letters are kept for their own time, and before they are forgotten the log warns of their number once a day', async () => {
  const at = time()
  const store = await open(ownPath(), at)
  const { retention, said } = retentionOf(store, at, { deadRetentionDays: 60 })
  await makeDead(store, START_MS)
  const after = async (ms: number) => {
    pass(at, ms)
    await retention.pass()
  }
  await after(2 * DAY_MS)
  await makeDead(store, at.wallMs)
  await after(29 * DAY_MS)
  expect(await kept(store)).toBe(2)
  expect(retention.state().deadExpiring).toBe(0)
  await after(28 * DAY_MS + HOUR_MS)
  expect(retention.state().deadExpiring).toBe(1)
  await after(HOUR_MS)
  const warning = { level: 40, dead: 1, retention_days: 30, retention_dead_days: 60 }
  expect(said('will be forgotten within a day')).toEqual([expect.objectContaining(warning)])
  await after(DAY_MS)
  expect(await kept(store)).toBe(1)
  expect(said('old events forgotten')).toEqual([expect.objectContaining({ pruned: 1, dead: 1 })])
})

test.each([
  ['everything', 0],
  ['dead letters', 30],
])('%s can be kept for ever', async (_, retentionDays) => {
  const at = time()
  const store = await open(ownPath(), at)
  const { retention } = retentionOf(store, at, { retentionDays, deadRetentionDays: 0 })
  await makeDead(store, START_MS)
  await retention.pass()
  pass(at, 4_000 * DAY_MS)
  await retention.pass()
  expect(await kept(store)).toBe(1)
  expect(retention.state()).toEqual({ isHeld: false, deadExpiring: 0 })
})
