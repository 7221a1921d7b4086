import { describe, expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import type { NewTask } from '../../src/domain/task.ts'
import type { TaskClaim } from '../../src/domain/task-store.ts'
import type { Fixture } from './store-contract.ts'
import {
  DEADLINE_MS,
  endEvent,
  LEASE_MS,
  leaseOf,
  MAX_WAIT_MS,
  newSubmission,
  newTask,
  taskClaim,
  trackLeased,
  trackSubmission,
} from './task-samples.ts'

export function describeTaskClaims(fixture: Fixture): void {
  describeDue(fixture)
  describeTaskLeases(fixture)
  describeClaimTask(fixture)
}

function describeDue({ store, now, pass }: Fixture): void {
  const track = async (...tasks: Partial<NewTask>[]): Promise<void> => {
    for (const task of tasks) await store().track(newTask(task))
  }
  const claimed = async (given: Partial<TaskClaim> = {}) =>
    (await store().claimTasks(taskClaim(given))).map(({ id }) => id)

  describe('`claimTasks`', () => {
    test('hands out what its claimer needs once a task is due', async () => {
      const task = newTask()
      await store().track(task)
      pass(MAX_WAIT_MS - 1)
      expect(await store().claimTasks(taskClaim())).toEqual([])
      pass(1)
      expect(await store().claimTasks(taskClaim())).toEqual([
        {
          uid: task.uid,
          source: 'stripe',
          lease: expect.any(String),
          id: task.id,
          request: undefined,
          interrupted: false,
          createdAtMs: now() - MAX_WAIT_MS,
          staleAtMs: now(),
          expiresAtMs: now() - MAX_WAIT_MS + DEADLINE_MS,
          failures: 0,
          lastError: undefined,
          providerStatus: undefined,
        },
      ])
    })

    test('hands out first the task that has been due longest, and of expired tasks the one that has been expired longest', async () => {
      await track(...[3, 1, 2].map((n) => ({ id: `stale ${n}`, maxWaitMs: n })))
      await track(...[3, 1, 2].map((n) => ({ id: `expired ${n}`, deadlineMs: n })))
      pass(3)
      expect(await claimed({ expiredLimit: 0 })).toEqual(['stale 1', 'stale 2', 'stale 3'])
      expect(await claimed({ staleLimit: 0 })).toEqual(['expired 1', 'expired 2', 'expired 3'])
    })

    test('hands out tasks without failures before tasks with failures, however long the failed ones have been due', async () => {
      const fail = async (id: string) => {
        const { uid, lease } = await trackLeased(store(), { id, maxWaitMs: 0 })
        await store().postpone([{ uid, lease, dueAtMs: now(), outcome: { error: 'down' } }])
      }
      for (const n of [1, 2, 3]) {
        await fail(`failed ${n}`)
        pass(1)
      }
      await track(...[1, 2, 3].map((n) => ({ id: `sound ${n}`, maxWaitMs: n })))
      pass(3)
      expect(await claimed({ staleLimit: 1 })).toEqual(['sound 1'])
      expect(await claimed({ staleLimit: 2, failedPlaces: 1 })).toEqual(['sound 2', 'failed 1'])
      expect(await claimed({ staleLimit: 1, failedPlaces: 5 })).toEqual(['failed 2'])
      expect(await claimed({ failedPlaces: 5 })).toEqual(['sound 3', 'failed 3'])
    })

    test('has a limit for stale tasks and one for expired tasks', async () => {
      await track(
        ...[1, 2, 3, 4].flatMap((n) => [
          { id: `stale ${n}`, maxWaitMs: n },
          { id: `expired ${n}`, deadlineMs: n },
        ]),
      )
      pass(4)
      expect(await claimed({ staleLimit: 0, expiredLimit: 0 })).toEqual([])
      expect(await claimed({ staleLimit: -1, expiredLimit: -1 })).toEqual([])
      expect(new Set(await claimed({ staleLimit: 1, expiredLimit: 2 }))).toEqual(
        new Set(['stale 1', 'expired 1', 'expired 2']),
      )
      expect(new Set(await claimed({ staleLimit: 2, expiredLimit: 1 }))).toEqual(
        new Set(['stale 2', 'stale 3', 'expired 3']),
      )
      expect(new Set(await claimed())).toEqual(new Set(['stale 4', 'expired 4']))
    })

    test('hands out a task past its deadline as expired, whether it was stale before or not', async () => {
      await track({ id: 'both', maxWaitMs: 1, deadlineMs: 5 }, { id: 'never stale', maxWaitMs: 50, deadlineMs: 6 })
      pass(4)
      expect(await claimed({ staleLimit: 0 })).toEqual([])
      pass(2)
      expect(await claimed({ expiredLimit: 0 })).toEqual([])
      expect(await claimed({ staleLimit: 0 })).toEqual(['both', 'never stale'])
    })

    test('hands out only the tasks of the source that it names', async () => {
      await track({ id: 'here', maxWaitMs: 0 }, { id: 'there', source: 'eu', maxWaitMs: 0 })
      await track({ id: 'late', deadlineMs: 0 }, { id: 'late there', source: 'eu', deadlineMs: 0 })
      expect(await claimed({ source: 'eu' })).toEqual(['late there', 'there'])
      expect(await claimed({ source: 'nowhere' })).toEqual([])
      expect(await claimed()).toEqual(['late', 'here'])
    })

    test('hands out no terminal task', async () => {
      const [ended, cancelled] = [newTask({ maxWaitMs: 0 }), newTask({ deadlineMs: 0 })]
      for (const task of [ended, cancelled]) await store().track(task)
      await store().append(endEvent(ended))
      await store().cancelTask(cancelled.uid)
      const refused = await trackSubmission(store(), { deadlineMs: 0 })
      await store().submitted(refused.uid, refused.lease, { refused: 'no' })
      pass(DEADLINE_MS)
      expect(await claimed()).toEqual([])
    })
  })
}

function describeTaskLeases({ store, pass }: Fixture): void {
  describe('a leased task', () => {
    test('is leased to no other caller', async () => {
      for (let n = 0; n < 40; n++) await store().track(newTask(n % 2 === 0 ? { maxWaitMs: 0 } : { deadlineMs: 0 }))
      const claims = await Promise.all(
        Array.from({ length: 6 }, () => store().claimTasks(taskClaim({ staleLimit: 7, expiredLimit: 7 }))),
      )
      const uids = claims.flatMap((tasks) => tasks.map(({ uid }) => uid))
      expect(uids).toHaveLength(40)
      expect(new Set(uids).size).toBe(40)
    })

    test('is due again once its lease has run out, under another lease, and marked as interrupted', async () => {
      const task = newTask({ maxWaitMs: 0 })
      await store().track(task)
      const [first] = await store().claimTasks(taskClaim())
      pass(LEASE_MS - 1)
      expect(await store().claimTasks(taskClaim())).toEqual([])
      pass(1)
      const [second, ...others] = await store().claimTasks(taskClaim())
      expect(others).toEqual([])
      expect(second).toMatchObject({ uid: task.uid, interrupted: true, failures: 0 })
      expect(second?.lease).not.toBe(first?.lease)
      expect(await store().claimTasks(taskClaim())).toEqual([])
    })

    test('whose deadline passes stays with its holder until the lease runs out', async () => {
      const task = newTask({ maxWaitMs: 0, deadlineMs: 10 })
      await store().track(task)
      await store().claimTasks(taskClaim({ leaseMs: 100 }))
      pass(99)
      expect(await store().claimTasks(taskClaim())).toEqual([])
      pass(1)
      expect(await store().claimTasks(taskClaim({ staleLimit: 0 }))).toMatchObject([
        { uid: task.uid, interrupted: true },
      ])
    })

    test('that is to be submitted keeps its request, also past its deadline', async () => {
      const [due, late] = [newSubmission({ leaseMs: 5 }), newSubmission({ leaseMs: 5, deadlineMs: 1 })]
      for (const task of [due, late]) await store().track(task)
      pass(5)
      const claimed = await store().claimTasks(taskClaim())
      expect(claimed).toMatchObject([late, due].map(({ uid, request }) => ({ uid, request, id: undefined })))
    })
  })
}

function describeClaimTask({ store, pass }: Fixture): void {
  describe('`claimTask`', () => {
    test('leases a task that is not due, to one caller', async () => {
      const task = newTask()
      await store().track(task)
      const answers = await Promise.all([1, 2, 3].map(() => store().claimTask(task.uid, LEASE_MS)))
      expect(answers.filter((leased) => leased !== undefined)).toMatchObject([
        { uid: task.uid, id: task.id, interrupted: false, lease: expect.any(String) },
      ])
      pass(LEASE_MS - 1)
      expect(await store().claimTask(task.uid, LEASE_MS)).toBeUndefined()
      pass(1)
      expect(await store().claimTask(task.uid, LEASE_MS)).toMatchObject({ interrupted: true })
    })

    test('keeps a task that it has leased from other claims, though it is due', async () => {
      const task = newTask()
      await store().track(task)
      pass(MAX_WAIT_MS - 1)
      await leaseOf(store(), task.uid)
      pass(1)
      expect(await store().claimTasks(taskClaim())).toEqual([])
    })

    test('gives undefined for a task that is leased already, is terminal, or does not exist', async () => {
      const [due, ended] = [newTask({ maxWaitMs: 0 }), newTask()]
      for (const task of [due, ended]) await store().track(task)
      await store().claimTasks(taskClaim())
      await store().append(endEvent(ended))
      for (const uid of [due.uid, ended.uid, newUid()]) expect(await store().claimTask(uid, LEASE_MS)).toBeUndefined()
    })
  })
}
