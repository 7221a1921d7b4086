import { describe, expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import type { NewTask } from '../../src/domain/task.ts'
import type { Fixture } from './store-contract.ts'
import { allPages, codeOf, newEvent } from './store-samples.ts'
import {
  DEADLINE_MS,
  endEvent,
  LEASE_MS,
  MAX_WAIT_MS,
  newSubmission,
  newTask,
  taskClaim,
  trackSubmission,
} from './task-samples.ts'

export function describeTaskBeginning(fixture: Fixture): void {
  describeTrack(fixture)
  describeKnown(fixture)
}

function describeTrack({ store, now, pass }: Fixture): void {
  describe('`track`', () => {
    test('makes a new task pending, to be polled when it is stale', async () => {
      pass(70)
      const task = newTask({ metadata: '{"order":7}' })
      const tracked = await store().track(task)
      expect(tracked).toEqual({
        created: true,
        leased: undefined,
        task: {
          uid: task.uid,
          source: 'stripe',
          id: task.id,
          status: 'pending',
          providerStatus: null,
          metadata: { order: 7 },
          createdAtMs: now(),
          staleAtMs: now() + MAX_WAIT_MS,
          expiresAtMs: now() + DEADLINE_MS,
          nextPollAtMs: now() + MAX_WAIT_MS,
          polls: 0,
          lastError: null,
          endedAtMs: null,
          resolvedBy: null,
          eventUid: null,
        },
      })
      expect(await store().task('stripe', task.id)).toEqual(tracked.task)
    })

    test('makes a task whose deadline comes before it is stale due at its deadline', async () => {
      const { task } = await store().track(newTask({ deadlineMs: 50 }))
      expect(task).toMatchObject({ staleAtMs: now() + MAX_WAIT_MS, nextPollAtMs: now() + 50 })
    })

    test('makes a task without an id submitting, which only its caller may submit until the lease runs out', async () => {
      const task = newSubmission()
      expect(await store().track(task)).toMatchObject({
        created: true,
        leased: {
          uid: task.uid,
          source: task.source,
          lease: expect.any(String),
          id: undefined,
          request: task.request,
          interrupted: false,
          createdAtMs: now(),
          staleAtMs: now() + task.maxWaitMs,
          expiresAtMs: now() + task.deadlineMs,
          failures: 0,
          lastError: undefined,
          providerStatus: undefined,
        },
        task: {
          uid: task.uid,
          status: 'submitting',
          id: null,
          metadata: null,
          nextPollAtMs: now() + LEASE_MS,
        },
      })
      expect(await store().claimTask(task.uid, LEASE_MS)).toBeUndefined()
      pass(LEASE_MS - 1)
      expect(await store().claimTasks(taskClaim())).toEqual([])
      pass(1)
      expect(await store().claimTasks(taskClaim())).toMatchObject([
        { uid: task.uid, id: undefined, request: task.request, interrupted: true },
      ])
    })

    test('refuses a task under a uid that is taken as invalid_request, and counts it nowhere', async () => {
      const { uid } = newTask()
      await store().track(newTask({ uid }))
      expect(await codeOf(store().track(newTask({ uid })))).toBe('invalid_request')
      await expect.poll(async () => (await store().counts()).tasks.pending, { timeout: 5_000 }).toBe(1)
    })
  })
}

function describeKnown({ store }: Fixture): void {
  const track = async (task: NewTask) => {
    const { created, leased, task: known } = await store().track(task)
    return { created, leased, uid: known.uid }
  }
  const idempotency = { key: 'k', fingerprint: 'f' }
  const all = () => allPages((page) => store().tasks({}, page))

  describe('`track` of a known task', () => {
    test('gives the task unchanged by its source and id', async () => {
      const task = newTask({ metadata: '{"first":true}' })
      const { task: first } = await store().track(task)
      const again = newTask({ id: task.id, metadata: '{}', maxWaitMs: 5, idempotency })
      expect(await store().track(again)).toEqual({ task: first, created: false, leased: undefined })
      await store().append(endEvent(task))
      expect(await store().track(newTask({ id: task.id }))).toMatchObject({
        created: false,
        task: { uid: task.uid, status: 'completed' },
      })
      expect(await all()).toHaveLength(1)
    })

    test('makes another task for the same id at another source', async () => {
      const task = newTask()
      await store().track(task)
      const elsewhere = newTask({ source: 'eu', id: task.id })
      expect(await track(elsewhere)).toEqual({ created: true, leased: undefined, uid: elsewhere.uid })
    })

    test('gives the task unchanged by its idempotency key, and no other caller may submit it', async () => {
      const { uid } = await trackSubmission(store(), { idempotency })
      expect(await track(newSubmission({ idempotency }))).toEqual({ created: false, leased: undefined, uid })
      expect(await all()).toHaveLength(1)
    })

    test('looks for its idempotency key before its id', async () => {
      const [first, second] = [newTask({ idempotency }), newTask()]
      await store().track(first)
      await store().track(second)
      expect(await track(newTask({ id: second.id, idempotency }))).toMatchObject({ created: false, uid: first.uid })
    })

    test('with a key that was used for another request gives idempotency_mismatch, and changes nothing', async () => {
      const task = newTask({ idempotency })
      await store().track(task)
      const before = await all()
      const other = { key: 'k', fingerprint: 'g' }
      for (const given of [newTask({ idempotency: other }), newTask({ id: task.id, idempotency: other })])
        expect(await codeOf(store().track(given))).toBe('idempotency_mismatch')
      expect(await codeOf(store().track(newSubmission({ idempotency: other })))).toBe('idempotency_mismatch')
      expect(await all()).toEqual(before)
    })

    test('begins the task once when many callers track it at once', async () => {
      const byId = Array.from({ length: 20 }, () => newTask({ id: 'same' }))
      const byKey = Array.from({ length: 20 }, () => newSubmission({ idempotency }))
      const tracked = await Promise.all([...byId, ...byKey].map(track))
      expect(tracked.filter(({ created }) => created)).toHaveLength(2)
      expect(tracked.filter(({ leased }) => leased !== undefined)).toHaveLength(1)
      expect(new Set(tracked.map(({ uid }) => uid)).size).toBe(2)
    })
  })
}

export function describeTrackedLate({ store, now, pass }: Fixture): void {
  describe('a task that is tracked after its end has come', () => {
    test('is terminal from the start, resolved by the event of its end', async () => {
      const task = newTask()
      const event = endEvent(task, { taskEnd: { status: 'failed', word: 'errored' } })
      expect(await store().append(event)).toEqual({ outcome: 'accepted', uid: event.uid })
      pass(50)
      expect(await store().track(task)).toMatchObject({
        created: true,
        task: {
          status: 'failed',
          providerStatus: 'errored',
          createdAtMs: now(),
          endedAtMs: now(),
          nextPollAtMs: null,
          resolvedBy: 'webhook',
          eventUid: event.uid,
        },
      })
      expect(await store().event(event.uid)).toMatchObject({ status: 'accepted', deliveries: [{ state: 'pending' }] })
    })

    test('is resolved by the first of several events, and later ones are superseded', async () => {
      const task = newTask()
      const first = endEvent(task, { receivedAtMs: now() })
      const second = endEvent(task, { receivedAtMs: now() + 1, taskEnd: { status: 'cancelled', word: 'gone' } })
      for (const event of [first, second]) expect(await store().append(event)).toMatchObject({ outcome: 'accepted' })
      pass(10)
      expect(await store().track(task)).toMatchObject({ task: { status: 'completed', eventUid: first.uid } })
      expect(await store().append(endEvent(task))).toMatchObject({ outcome: 'superseded' })
      expect(await store().append({ ...second, uid: newUid() })).toEqual({ outcome: 'duplicate', uid: second.uid })
    })

    test('is pending where the events before it are of another source or task, report no end, or are in conflict', async () => {
      const task = newTask()
      const progress = newEvent({ task: task.id })
      await store().append(endEvent({ ...task, source: 'eu' }))
      await store().append(endEvent(newTask()))
      await store().append(progress)
      const conflict = endEvent(task, { id: progress.id, body: Buffer.from('other') })
      expect(await store().append(conflict)).toMatchObject({ outcome: 'conflict' })
      expect(await store().track(task)).toMatchObject({ created: true, task: { status: 'pending', eventUid: null } })
    })

    test('is terminal, also where the request and the event come at the same time in either order', async () => {
      const tasks = Array.from({ length: 20 }, () => newTask())
      await Promise.all(
        tasks.flatMap((task, at) => {
          const both = [() => store().append(endEvent(task)), () => store().track(task)]
          return (at % 2 === 0 ? both : both.reverse()).map((call): Promise<unknown> => call())
        }),
      )
      expect(await allPages((page) => store().tasks({ status: 'completed' }, page))).toHaveLength(20)
    })
  })
}
