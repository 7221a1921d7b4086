import { describe, expect, test } from 'vitest'
import type { LongestWaits } from '../../src/domain/store-clock.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, claimRequest, newEvent, START_MS, settlement } from './store-samples.ts'
import { leaseOf, newTask, taskBy, trackSubmission } from './task-samples.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** The clock is ahead by so much, in these tests. */
const AHEAD_MS = 40 * DAY_MS
const WAITS: LongestWaits = {
  retryMs: HOUR_MS,
  retryAfterMs: 7 * DAY_MS,
  pollMs: HOUR_MS,
  leaseMs: 30_000,
  isTrusted: true,
}

export function describeRepairTimes({ store, now, pass }: Fixture): void {
  const repairTimes = (given: Partial<LongestWaits> = {}) => store().repairTimes({ ...WAITS, ...given })
  /** Does something while the clock is ahead. */
  async function ahead<Result>(work: () => Promise<Result>, byMs = AHEAD_MS): Promise<Result> {
    pass(byMs)
    const result = await work()
    pass(-byMs)
    return result
  }
  const fail = async (verdict: 'retry' | 'released', outcome: 'failed' | 'retry_after' | 'released', waitMs: number) =>
    store().settle([
      settlement(await claimOne(store()), { verdict, outcome, dueAtMs: now() + waitMs, startedAtMs: now() }),
    ])
  const dueOf = async (uid: string) => (await store().event(uid))?.deliveries[0]?.dueAtMs

  describe('`repairTimes`', () => {
    test('gives zeros where nothing lies ahead of the clock', async () => {
      await store().append(newEvent())
      await fail('retry', 'failed', HOUR_MS)
      await store().append(newEvent())
      await fail('retry', 'retry_after', 7 * DAY_MS)
      await store().track(newTask({ maxWaitMs: AHEAD_MS, deadlineMs: 2 * AHEAD_MS }))
      expect(await repairTimes()).toEqual({ events: 0, deliveries: 0, tasks: 0 })
    })

    test('gives an event that came while the clock was ahead the present as its time, so that it is due, the oldest pending one, listed and read', async () => {
      const event = newEvent({ receivedAtMs: START_MS + AHEAD_MS })
      await ahead(() => store().append(event))
      const before = await store().claim(claimRequest())
      expect(before.work).toEqual([])
      expect(await repairTimes()).toEqual({ events: 1, deliveries: 1, tasks: 0 })
      expect(await store().event(event.uid)).toMatchObject({ receivedAtMs: now() })
      expect((await store().events({ untilMs: now() + 1 }, { limit: 10 })).items).toHaveLength(1)
      await expect.poll(async () => (await store().counts()).oldestDueAtMs, { timeout: 5_000 }).toBe(now())
      expect(Buffer.from(await store().body(event.uid))).toEqual(event.body)
      expect(await claimOne(store())).toMatchObject({ event: { uid: event.uid, receivedAtMs: now() } })
      expect(await repairTimes()).toEqual({ events: 0, deliveries: 0, tasks: 0 })
    })

    test('makes an event due and leaves its time of receipt, where the clock is not trusted', async () => {
      const event = newEvent({ receivedAtMs: START_MS + AHEAD_MS })
      const task = newTask()
      await ahead(() => store().append(event))
      await ahead(() => store().track(task))
      expect(await repairTimes({ isTrusted: false })).toEqual({ events: 0, deliveries: 1, tasks: 0 })
      expect(await store().event(event.uid)).toMatchObject({ receivedAtMs: START_MS + AHEAD_MS })
      expect(await taskBy(store(), task.uid)).toMatchObject({ createdAtMs: START_MS + AHEAD_MS })
      expect((await claimOne(store())).event.uid).toBe(event.uid)
    })

    test.each(['failed', 'retry_after'] as const)(
      'makes deliveries due that were put off (%s) while the clock was ahead, by hours or by days',
      async (outcome) => {
        for (const byMs of [8 * HOUR_MS, AHEAD_MS]) {
          const event = newEvent()
          await store().append(event)
          await ahead(() => fail('retry', outcome, HOUR_MS), byMs)
          expect(await repairTimes()).toEqual({ events: 0, deliveries: 1, tasks: 0 })
          expect(await dueOf(event.uid)).toBe(now())
          await store().settle([settlement(await claimOne(store()))])
        }
      },
    )

    test('makes deliveries due that were replayed while the clock was ahead, though they had asked for a wait before', async () => {
      const event = newEvent()
      await store().append(event)
      await fail('retry', 'retry_after', 0)
      await store().settle([settlement(await claimOne(store()), { verdict: 'dead', outcome: 'failed' })])
      const replay = { eventUid: event.uid, handlers: ['a'], status: 'accepted', reasons: [] } as const
      await ahead(() => store().replay(replay), 8 * HOUR_MS)
      expect(await repairTimes()).toMatchObject({ deliveries: 1 })
      expect(await dueOf(event.uid)).toBe(now())
    })

    test('leaves deliveries that a handler put off by days, and brings back those beyond its longest wait', async () => {
      const event = newEvent()
      await store().append(event)
      await fail('retry', 'retry_after', 7 * DAY_MS)
      expect(await repairTimes()).toMatchObject({ deliveries: 0 })
      expect(await repairTimes({ retryAfterMs: DAY_MS })).toMatchObject({ deliveries: 1 })
    })

    test('brings back more rows than one step may, step by step', async () => {
      const events = Array.from({ length: 450 }, () => newEvent({ receivedAtMs: START_MS + AHEAD_MS }))
      await ahead(() => Promise.all(events.map((event) => store().append(event))))
      let total = 0
      for (let events = 1; events > 0; total += events) ({ events } = await repairTimes())
      expect(total).toBe(450)
      expect(await repairTimes()).toEqual({ events: 0, deliveries: 0, tasks: 0 })
    })

    test('lets a lease that was taken while the clock was ahead end as a new one would', async () => {
      await store().append(newEvent())
      await ahead(() => claimOne(store()))
      expect(await repairTimes()).toMatchObject({ deliveries: 1 })
      expect(await repairTimes()).toMatchObject({ deliveries: 0 })
      pass(29_999)
      expect((await store().claim(claimRequest())).work).toEqual([])
      pass(1)
      expect(await claimOne(store())).toMatchObject({ attempt: 2 })
    })

    test('leaves a lease unchanged that is longer than those of this process, as that of a worker with slower handlers', async () => {
      await store().append(newEvent())
      await claimOne(store(), { leaseMs: HOUR_MS })
      expect(await repairTimes()).toMatchObject({ deliveries: 0 })
      pass(HOUR_MS - 1)
      expect((await store().claim(claimRequest())).work).toEqual([])
    })

    test('gives a delivery that died while the clock was ahead the present as the time of its death', async () => {
      const event = newEvent()
      await store().append(event)
      await ahead(async () => {
        const work = await claimOne(store())
        await store().settle([settlement(work, { verdict: 'dead', outcome: 'rejected' })])
      })
      expect(await repairTimes({ isTrusted: false })).toMatchObject({ deliveries: 0 })
      expect(await repairTimes()).toMatchObject({ deliveries: 1 })
      expect(await dueOf(event.uid)).toBe(now())
    })

    test('keeps the intervals of a task that was begun while the clock was ahead', async () => {
      const task = newTask()
      await ahead(() => store().track(task))
      expect(await repairTimes()).toEqual({ events: 0, deliveries: 0, tasks: 1 })
      expect(await taskBy(store(), task.uid)).toMatchObject({
        createdAtMs: now(),
        staleAtMs: now() + task.maxWaitMs,
        expiresAtMs: now() + task.deadlineMs,
        nextPollAtMs: now() + task.maxWaitMs,
      })
      expect(await repairTimes()).toMatchObject({ tasks: 0 })
    })

    test('makes a task due that was put off while the clock was ahead', async () => {
      const task = newTask({ maxWaitMs: 0, deadlineMs: 2 * AHEAD_MS })
      await store().track(task)
      await ahead(async () => {
        const { uid, lease } = await leaseOf(store(), task.uid)
        await store().postpone([{ uid, lease, dueAtMs: now() + HOUR_MS, outcome: { providerStatus: 'running' } }])
      })
      expect(await repairTimes()).toMatchObject({ tasks: 1 })
      expect(await taskBy(store(), task.uid)).toMatchObject({ createdAtMs: START_MS, nextPollAtMs: now() })
    })

    test('leaves to its deadline a submission that the provider may or may not have, whenever it was begun', async () => {
      const lose = async () => {
        const { uid, lease } = await trackSubmission(store(), { deadlineMs: DAY_MS })
        const expiresAtMs = now() + DAY_MS
        await store().postpone([{ uid, lease, dueAtMs: expiresAtMs, outcome: { error: 'no answer' } }])
        return uid
      }
      const uid = await lose()
      expect(await repairTimes()).toMatchObject({ tasks: 0 })
      expect(await taskBy(store(), uid)).toMatchObject({ nextPollAtMs: now() + DAY_MS })
      const begunAhead = await ahead(lose)
      expect(await repairTimes()).toMatchObject({ tasks: 1 })
      expect(await taskBy(store(), begunAhead)).toMatchObject({ nextPollAtMs: now() + DAY_MS })
      expect(await repairTimes()).toMatchObject({ tasks: 0 })
    })

    test('gives a task that ended while the clock was ahead the present as the time of its end', async () => {
      const task = newTask()
      await store().track(task)
      await ahead(() => store().cancelTask(task.uid))
      expect(await repairTimes()).toMatchObject({ tasks: 1 })
      expect(await taskBy(store(), task.uid)).toMatchObject({ status: 'cancelled', endedAtMs: now() })
    })
  })
}
