import { describe, expect, test } from 'vitest'
import type { PruneStep } from '../../src/domain/retention-store.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, codeOf, newEvent, START_MS, settlement } from './store-samples.ts'
import { newTask, taskClaim } from './task-samples.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** The clock is ahead by so much, in these tests. */
const AHEAD_MS = 40 * DAY_MS

export function describeUpkeep(fixture: Fixture): void {
  describePruneWalk(fixture)
  describeCountOld(fixture)
  describeCountDead(fixture)
  describeClock(fixture)
}

/** All steps of one walk. */
async function walk(store: OpenStore, given: { beforeMs: number; deadBeforeMs?: number; limit: number }) {
  const steps: PruneStep[] = []
  let next: PruneStep['next']
  do {
    const step: PruneStep = await store.prune({
      receivedBeforeMs: given.beforeMs,
      deadReceivedBeforeMs: given.deadBeforeMs ?? given.beforeMs,
      limit: given.limit,
      ...(next !== undefined && { from: next }),
    })
    steps.push(step)
    next = step.next
  } while (next !== undefined)
  return steps
}

const sum = (steps: readonly PruneStep[], of: 'events' | 'dead'): number =>
  steps.reduce((total, step) => total + step[of], 0)

async function makeDead(store: OpenStore, given: Parameters<typeof newEvent>[0] = {}) {
  const event = newEvent(given)
  await store.append(event)
  await store.settle([settlement(await claimOne(store), { verdict: 'dead', outcome: 'rejected' })])
  return event
}

function describePruneWalk({ store }: Fixture): void {
  describe('a walk of `prune`', () => {
    test('goes on where the step before ended, past events that cannot be deleted yet, and meets each event once', async () => {
      const pending = Array.from({ length: 300 }, (_, n) => newEvent({ receivedAtMs: START_MS - 2_000 + n }))
      const ended = Array.from({ length: 30 }, (_, n) => newEvent({ receivedAtMs: START_MS - 1_000 + n, handlers: [] }))
      await Promise.all([...pending, ...ended].map((event) => store().append(event)))
      const steps = await walk(store(), { beforeMs: START_MS, limit: 10 })
      expect(sum(steps, 'events')).toBe(30)
      expect(steps.length).toBeLessThanOrEqual(5)
      expect((await store().counts()).deliveries.pending).toBe(300)
    })

    test('is over after a few steps where it meets many events of which none can be deleted', async () => {
      for (let left = 2; left > 0; left--)
        await Promise.all(
          Array.from({ length: 2_250 }, (_, n) => store().append(newEvent({ receivedAtMs: START_MS - n }))),
        )
      const steps = await walk(store(), { beforeMs: START_MS + 1, limit: 200 })
      expect(sum(steps, 'events')).toBe(0)
      expect(steps.length).toBeGreaterThan(1)
      expect(steps.length).toBeLessThanOrEqual(3)
    })

    test('deletes more than one step may, step by step', async () => {
      const events = Array.from({ length: 450 }, () => newEvent({ receivedAtMs: START_MS - 1, handlers: [] }))
      await Promise.all(events.map((event) => store().append(event)))
      const steps = await walk(store(), { beforeMs: START_MS, limit: 200 })
      expect(sum(steps, 'events')).toBe(450)
      expect(Math.max(...steps.map((step) => step.events))).toBeLessThanOrEqual(200)
    })

    test('keeps events with dead deliveries for their own time, with their bodies, and counts the dead that it deletes', async () => {
      const old = await makeDead(store(), { receivedAtMs: START_MS - 300 })
      const kept = await makeDead(store(), { receivedAtMs: START_MS - 200 })
      const handled = newEvent({ receivedAtMs: START_MS - 250, handlers: [] })
      await store().append(handled)
      const steps = await walk(store(), { beforeMs: START_MS, deadBeforeMs: START_MS - 250, limit: 100 })
      expect([sum(steps, 'events'), sum(steps, 'dead')]).toEqual([2, 1])
      expect(await store().event(old.uid)).toBeUndefined()
      expect(await store().event(handled.uid)).toBeUndefined()
      expect(await store().event(kept.uid)).toMatchObject({ deliveries: [{ state: 'dead' }] })
      expect(Buffer.from(await store().body(kept.uid))).toEqual(kept.body)
      await store().replay({ eventUid: kept.uid, handlers: ['a'], status: 'accepted', reasons: [] })
      expect((await claimOne(store())).body).toHaveLength(kept.body.length)
    })

    test('keeps dead deliveries without limit where their retention has no end', async () => {
      await makeDead(store(), { receivedAtMs: START_MS - AHEAD_MS })
      const steps = await walk(store(), { beforeMs: START_MS, deadBeforeMs: Number.MIN_SAFE_INTEGER, limit: 100 })
      expect([sum(steps, 'events'), sum(steps, 'dead')]).toEqual([0, 0])
    })
  })
}

function describeCountOld({ store }: Fixture): void {
  test('`countOld` counts by day the events that a walk of `prune` then deletes, and no others', async () => {
    const dayMs = (days: number) => START_MS + days * DAY_MS
    for (const days of [-5, -3]) await makeDead(store(), { receivedAtMs: dayMs(days) })
    for (const days of [-5, -4, 0]) await store().append(newEvent({ receivedAtMs: dayMs(days), handlers: [] }))
    await store().append(newEvent({ receivedAtMs: dayMs(-4) }))
    const bounds = { receivedBeforeMs: START_MS, deadReceivedBeforeMs: dayMs(-4) }
    const days = [
      { day: '2026-11-18', events: 2, dead: 1 },
      { day: '2026-11-19', events: 1, dead: 0 },
    ]
    expect(await store().countOld(bounds)).toEqual({ days, more: false })
    const steps = await walk(store(), { beforeMs: START_MS, deadBeforeMs: dayMs(-4), limit: 100 })
    expect([sum(steps, 'events'), sum(steps, 'dead')]).toEqual([3, 1])
    expect(await store().countOld(bounds)).toEqual({ days: [], more: false })
  })
}

function describeCountDead({ store }: Fixture): void {
  test('`countDead` counts the dead deliveries of events received before the time, in whatever order they came', async () => {
    for (const ageMs of [100, 300, 200]) await makeDead(store(), { receivedAtMs: START_MS - ageMs })
    await store().append(newEvent({ receivedAtMs: START_MS - 300 }))
    const counts = await Promise.all([300, 200, 100, 99].map((ageMs) => store().countDead(START_MS - ageMs)))
    expect(counts).toEqual([0, 1, 2, 3])
  })
}

function describeClock({ store, now, pass }: Fixture): void {
  const look = (ranMs = 0) => store().judgeClock({ ranMs, toleranceMs: DAY_MS })
  const isTrusted = async (ranMs?: number) => (await look(ranMs)).steadyMs === undefined

  describe('the clock', () => {
    test('of an empty store is taken as it is', async () => {
      expect(await look()).toEqual({ knownAtMs: now(), lookedAtMs: now(), steadyMs: undefined })
    })

    test('is compared with the newest event where it was never looked at', async () => {
      await store().append(newEvent({ receivedAtMs: START_MS - 2 * DAY_MS }))
      expect(await look()).toMatchObject({ knownAtMs: START_MS - 2 * DAY_MS, steadyMs: 0 })
    })

    test('is doubted after a jump, whatever was received meanwhile, until it has run on steadily for a day', async () => {
      await look()
      pass(AHEAD_MS)
      await store().append(newEvent({ receivedAtMs: now() }))
      expect(await isTrusted()).toBe(false)
      for (let hours = 1; hours < 24; hours++) {
        pass(HOUR_MS)
        expect(await isTrusted(HOUR_MS)).toBe(false)
      }
      pass(HOUR_MS)
      expect(await look(HOUR_MS)).toEqual({ knownAtMs: now(), lookedAtMs: now(), steadyMs: undefined })
    })

    test('lets no task expire while it is doubted, though tasks are claimed for polls, and lets it expire afterwards', async () => {
      await look()
      const task = newTask({ maxWaitMs: 0, deadlineMs: 2 * HOUR_MS })
      await store().track(task)
      pass(AHEAD_MS)
      const claim = async () => (await store().claimTasks(taskClaim()))[0]
      for (const isLooked of [false, true]) {
        if (isLooked) await look()
        const leased = await claim()
        expect(leased?.expiresAtMs).toBeGreaterThan(now())
        const { uid, lease = '' } = { ...leased, uid: task.uid }
        await store().postpone([{ uid, lease, dueAtMs: now() + HOUR_MS, outcome: { providerStatus: 'running' } }])
        expect(await claim()).toBeUndefined()
        pass(HOUR_MS)
      }
      expect((await store().claimTask(task.uid, 1))?.expiresAtMs).toBeGreaterThan(now())
      for (let hours = 0; hours < 25; hours++) {
        await look(HOUR_MS)
        pass(HOUR_MS)
      }
      expect((await claim())?.expiresAtMs).toBeLessThan(now())
    })

    test('is trusted at once by an operator’s confirmation of its time, which is refused where the time is wrong', async () => {
      const confirm = (confirmedMs: number) => store().judgeClock({ ranMs: 0, toleranceMs: DAY_MS, confirmedMs })
      await look()
      expect(await codeOf(confirm(now()))).toBe('conflict')
      pass(AHEAD_MS)
      const doubted = await look()
      expect(await codeOf(confirm(START_MS))).toBe('conflict')
      expect(await look()).toEqual(doubted)
      const trusted = { knownAtMs: now(), lookedAtMs: now(), steadyMs: undefined }
      expect(await confirm(now())).toEqual(trusted)
      expect(await look()).toEqual(trusted)
    })

    test('is trusted again at once when it is back where it was', async () => {
      await look()
      pass(AHEAD_MS)
      expect(await isTrusted()).toBe(false)
      pass(HOUR_MS - AHEAD_MS)
      expect(await look()).toMatchObject({ knownAtMs: START_MS + HOUR_MS, steadyMs: undefined })
    })
  })
}
