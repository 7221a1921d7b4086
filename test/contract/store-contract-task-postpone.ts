import { describe, expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import type { LeasedTask, Task } from '../../src/domain/task.ts'
import type { TaskPostponement } from '../../src/domain/task-store.ts'
import type { Fixture } from './store-contract.ts'
import {
  askedEvent,
  DEADLINE_MS,
  LEASE_MS,
  leaseOf,
  MAX_WAIT_MS,
  newTask,
  taskBy,
  taskClaim,
  trackLeased,
  trackSubmission,
} from './task-samples.ts'

export function describePostpone({ store, now, pass }: Fixture): void {
  const postpone = (leased: { uid: string; lease: string }, given: Partial<TaskPostponement> = {}) =>
    store().postpone([{ uid: leased.uid, lease: leased.lease, dueAtMs: now(), ...given }])

  /** Leases a task, postpones it to now, and tells what both show of it. */
  const ask = async (
    uid: string,
    outcome?: TaskPostponement['outcome'],
  ): Promise<Task & Pick<LeasedTask, 'failures'>> => {
    expect(await postpone(await leaseOf(store(), uid), { ...(outcome && { outcome }) })).toEqual([true])
    const again = await leaseOf(store(), uid)
    await postpone(again)
    const task = await taskBy(store(), uid)
    expect(again.lastError ?? null).toBe(task.lastError)
    return { ...task, failures: again.failures }
  }

  describe('`postpone`', () => {
    test('gives a task back until the time that it names', async () => {
      const leased = await trackLeased(store(), { maxWaitMs: 0 })
      expect(await postpone(leased, { dueAtMs: now() + 50 })).toEqual([true])
      expect(await taskBy(store(), leased.uid)).toMatchObject({ status: 'pending', nextPollAtMs: now() + 50 })
      pass(49)
      expect(await store().claimTasks(taskClaim())).toEqual([])
      pass(1)
      expect(await store().claimTasks(taskClaim())).toMatchObject([{ uid: leased.uid, interrupted: false }])
    })

    test('leaves a task that was claimed before it was stale until it is stale', async () => {
      const { uid } = (await store().track(newTask({ maxWaitMs: 50 }))).task
      const leased = await store().claimTask(uid, LEASE_MS)
      expect(
        await postpone({ uid, lease: leased?.lease ?? '' }, { outcome: { providerStatus: 'processing' } }),
      ).toEqual([true])
      expect((await taskBy(store(), uid)).nextPollAtMs).toBe(now() + 50)
      pass(49)
      expect(await store().claimTasks(taskClaim())).toEqual([])
      pass(1)
      expect(await store().claimTasks(taskClaim())).toMatchObject([{ uid }])
    })

    test('keeps a deadline that comes sooner', async () => {
      const leased = await trackLeased(store())
      await postpone(leased, { dueAtMs: now() + DEADLINE_MS + 1 })
      expect((await taskBy(store(), leased.uid)).nextPollAtMs).toBe(now() + DEADLINE_MS)
      pass(DEADLINE_MS)
      expect(await store().claimTasks(taskClaim({ staleLimit: 0 }))).toHaveLength(1)
    })

    test('makes a task past its deadline due at once', async () => {
      const { uid } = await trackLeased(store())
      pass(DEADLINE_MS + 5)
      await postpone(await leaseOf(store(), uid), { dueAtMs: now() + 1 })
      expect(await store().claimTasks(taskClaim({ staleLimit: 0 }))).toMatchObject([{ uid, interrupted: false }])
    })

    test('counts polls, and failures since the last usable answer', async () => {
      const { uid, ...leased } = await trackLeased(store())
      await postpone({ uid, ...leased })
      expect(await ask(uid, { error: 'down' })).toMatchObject({ polls: 1, failures: 1, lastError: 'down' })
      expect(await ask(uid, { error: 'still' })).toMatchObject({ polls: 2, failures: 2, lastError: 'still' })
      expect(await ask(uid)).toMatchObject({ polls: 2, failures: 2, lastError: 'still', providerStatus: null })
      expect(await ask(uid, { providerStatus: 'running' })).toMatchObject({
        polls: 3,
        failures: 0,
        lastError: null,
        providerStatus: 'running',
      })
      expect(await ask(uid, { error: 'again' })).toMatchObject({
        polls: 4,
        failures: 1,
        lastError: 'again',
        providerStatus: 'running',
      })
      expect(await store().append(askedEvent(await leaseOf(store(), uid)))).toMatchObject({ outcome: 'accepted' })
      expect(await taskBy(store(), uid)).toMatchObject({ lastError: null, providerStatus: 'succeeded' })
    })

    test('of a task that is to be submitted counts failures, and no polls', async () => {
      const { uid, lease } = await trackSubmission(store())
      await postpone({ uid, lease })
      expect(await ask(uid, { error: 'down' })).toMatchObject({
        status: 'submitting',
        polls: 0,
        failures: 1,
        lastError: 'down',
      })
      expect(await ask(uid)).toMatchObject({ polls: 0, failures: 1, lastError: 'down' })
      expect(await leaseOf(store(), uid)).toMatchObject({ request: expect.any(String) })
    })

    test('tells for each task whether it took effect', async () => {
      const stale = { maxWaitMs: 0 }
      const [held, lost] = [await trackLeased(store(), stale), await trackLeased(store(), stale)]
      pass(LEASE_MS)
      await leaseOf(store(), lost.uid)
      const before = await taskBy(store(), lost.uid)
      const dueAtMs = now() + 7
      const outcome = { providerStatus: 'running' }
      const given = [lost, held, held, { uid: newUid(), lease: held.lease }, { uid: lost.uid, lease: held.lease }]
      expect(await store().postpone(given.map(({ uid, lease }) => ({ uid, lease, dueAtMs, outcome })))).toEqual([
        false,
        true,
        false,
        false,
        false,
      ])
      expect(await store().postpone([])).toEqual([])
      expect(await taskBy(store(), lost.uid)).toEqual(before)
      expect(await taskBy(store(), held.uid)).toMatchObject({ polls: 1, nextPollAtMs: dueAtMs })
    })

    test('takes effect under a lease that ran out, while no other caller has claimed the task', async () => {
      const leased = await trackLeased(store())
      pass(MAX_WAIT_MS)
      expect(await postpone(leased)).toEqual([true])
    })
  })
}
