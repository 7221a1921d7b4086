import { beforeEach, describe, expect, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, newEvent, START_MS, settlement } from './store-samples.ts'
import { leaseOf, newTask, taskBy, taskClaim } from './task-samples.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** The clock is behind by so much, for an hour. */
const BEHIND_MS = 40 * DAY_MS
const RETENTION_MS = 30 * DAY_MS

/** What is written while the clock is behind lies in the past from the moment on at which it is set right. */
export function describeBehind({ store, now, pass }: Fixture): void {
  const look = () => store().judgeClock({ ranMs: HOUR_MS, toleranceMs: DAY_MS })
  async function append(given: Partial<NewEvent> = {}): Promise<string> {
    const { uid } = await store().append(newEvent({ receivedAtMs: now(), handlers: [], ...given }))
    return uid
  }
  async function appendDead(): Promise<string> {
    const uid = await append({ handlers: ['a'] })
    await store().settle([settlement(await claimOne(store()), { verdict: 'dead', outcome: 'rejected' })])
    return uid
  }
  const bounds = (deadRetentionMs = RETENTION_MS) => ({
    receivedBeforeMs: now() - RETENTION_MS,
    deadReceivedBeforeMs: now() - deadRetentionMs,
  })
  const prune = (deadRetentionMs?: number) => store().prune({ ...bounds(deadRetentionMs), limit: 100 })
  const kept = async () => (await store().events({}, { limit: 10 })).items.map(({ uid }) => uid)

  describe('after an hour in which the clock was behind,', () => {
    beforeEach(async () => {
      await append()
      expect((await look()).steadyMs).toBeUndefined()
      pass(-BEHIND_MS)
    })
    const notice = async () => expect((await look()).steadyMs).toBe(0)
    const setRight = async () => {
      pass(BEHIND_MS + HOUR_MS)
      expect((await look()).steadyMs).toBeUndefined()
    }

    test.each([
      ['which the store noticed then', notice, 0],
      ['which the store did not notice', async () => {}, 3],
    ])('%s, retention keeps events of that hour for as long as those before them', async (_, inIt, redated) => {
      await inIt()
      const { uid, body } = newEvent()
      await append({ uid, body })
      await appendDead()
      await append()
      await setRight()
      expect(await store().countOld(bounds())).toEqual({ days: [], more: false })
      expect(await store().countDead(now() - RETENTION_MS)).toBe(0)
      expect(await prune()).toMatchObject({ events: 0, redated })
      expect(await prune()).toMatchObject({ events: 0, redated: 0 })
      expect(await store().event(uid)).toMatchObject({ receivedAtMs: redated === 0 ? now() : START_MS })
      expect(Buffer.from(await store().body(uid))).toEqual(body)
      pass(RETENTION_MS + DAY_MS)
      await append()
      expect((await store().countOld(bounds())).days.reduce((sum, { events }) => sum + events, 0)).toBe(4)
      expect(await store().countDead(now() - RETENTION_MS)).toBe(1)
      expect(await prune()).toMatchObject({ events: 4, dead: 1 })
    })

    test('retention keeps events of that hour as long as any, though the store had none of the last thirty days', async () => {
      pass(BEHIND_MS + RETENTION_MS + DAY_MS)
      const ran = await store().judgeClock({ ranMs: RETENTION_MS + DAY_MS, toleranceMs: DAY_MS })
      expect(ran.steadyMs).toBeUndefined()
      expect(await prune()).toMatchObject({ events: 1 })
      pass(-BEHIND_MS)
      await notice()
      const event = newEvent({ receivedAtMs: now(), handlers: [] })
      await store().append(event)
      await setRight()
      expect(await store().event(event.uid)).toMatchObject({ receivedAtMs: now() })
      expect(Buffer.from(await store().body(event.uid))).toEqual(event.body)
      expect(await prune()).toMatchObject({ events: 0, redated: 0 })
      pass(RETENTION_MS + 1)
      expect(await prune()).toMatchObject({ events: 1 })
    })

    test('retention keeps a dead letter of that hour for its own time', async () => {
      await notice()
      const dead = await appendDead()
      await setRight()
      await prune(2 * RETENTION_MS)
      pass(RETENTION_MS + 2 * DAY_MS)
      expect(await prune(2 * RETENTION_MS)).toMatchObject({ events: 1 })
      expect(await kept()).toEqual([dead])
      pass(RETENTION_MS)
      expect(await prune(2 * RETENTION_MS)).toMatchObject({ events: 1, dead: 1 })
    })

    test('a task that was tracked in that hour does not expire early, and was claimed for polls meanwhile', async () => {
      await notice()
      const { uid, maxWaitMs, deadlineMs } = newTask({ deadlineMs: DAY_MS })
      await store().track(newTask({ uid, maxWaitMs, deadlineMs }))
      const beganMs = now() + BEHIND_MS
      expect(await taskBy(store(), uid)).toMatchObject({
        createdAtMs: beganMs,
        staleAtMs: now() + maxWaitMs,
        expiresAtMs: beganMs + deadlineMs,
      })
      pass(maxWaitMs)
      const [asked] = await store().claimTasks(taskClaim())
      const { lease = '' } = asked ?? {}
      await store().postpone([{ uid, lease, dueAtMs: now() + HOUR_MS, outcome: { providerStatus: 'running' } }])
      expect(await taskBy(store(), uid)).toMatchObject({ nextPollAtMs: now() + HOUR_MS })
      await setRight()
      expect((await leaseOf(store(), uid)).expiresAtMs).toBe(beganMs + deadlineMs)
      expect(beganMs + deadlineMs).toBeGreaterThan(now())
    })

    test('retention keeps tasks that ended in that hour for their time, whenever they began', async () => {
      await notice()
      const task = newTask()
      await store().track(task)
      await store().cancelTask(task.uid)
      await setRight()
      const early = newTask()
      await store().track(early)
      pass(-BEHIND_MS)
      await store().cancelTask(early.uid)
      pass(BEHIND_MS)
      expect(await store().pruneTasks(now() - RETENTION_MS, 10)).toBe(0)
      pass(RETENTION_MS + DAY_MS)
      expect(await store().pruneTasks(now() - RETENTION_MS, 10)).toBe(2)
    })
  })
}
