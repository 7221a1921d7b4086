import { describe, expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import type { Fixture } from './store-contract.ts'
import {
  endEvent,
  LEASE_MS,
  leaseOf,
  MAX_WAIT_MS,
  newTask,
  taskBy,
  trackLeased,
  trackSubmission,
} from './task-samples.ts'

export function describeSubmitted({ store, now, pass }: Fixture): void {
  describe('`submitted`', () => {
    test('makes a task that the provider has taken pending under its id, to be polled when it is stale, and ends its lease', async () => {
      const { uid, lease } = await trackSubmission(store())
      pass(30)
      const task = await store().submitted(uid, lease, { id: 'given' })
      const staleAt = now() - 30 + MAX_WAIT_MS
      expect(task).toMatchObject({ uid, id: 'given', status: 'pending', staleAtMs: staleAt, nextPollAtMs: staleAt })
      expect(await store().task('stripe', 'given')).toEqual(task)
      expect(await store().submitted(uid, lease, { id: 'other' })).toBeUndefined()
      expect(await leaseOf(store(), uid)).toMatchObject({ id: 'given', request: undefined, interrupted: false })
    })

    test('makes a task whose deadline comes before it is stale due at its deadline', async () => {
      const { uid, lease } = await trackSubmission(store(), { deadlineMs: 50 })
      expect(await store().submitted(uid, lease, { id: 'given' })).toMatchObject({ nextPollAtMs: now() + 50 })
    })

    test('deletes the error of earlier tries', async () => {
      const { uid, lease } = await trackSubmission(store())
      await store().postpone([{ uid, lease, dueAtMs: now(), outcome: { error: 'down' } }])
      const again = await leaseOf(store(), uid)
      expect(again.failures).toBe(1)
      expect(await store().submitted(uid, again.lease, { id: 'given' })).toMatchObject({ lastError: null, polls: 0 })
      expect((await leaseOf(store(), uid)).failures).toBe(0)
    })

    test('makes a task whose end came before its id terminal', async () => {
      const event = endEvent({ source: 'stripe', id: 'given' })
      const { uid, lease } = await trackSubmission(store())
      await store().append(event)
      expect(await taskBy(store(), uid)).toMatchObject({ status: 'submitting', id: null })
      expect(await store().submitted(uid, lease, { id: 'given' })).toMatchObject({
        id: 'given',
        status: 'completed',
        resolvedBy: 'webhook',
        eventUid: event.uid,
      })
    })

    test('makes a task that the provider refuses failed, without an event', async () => {
      const { uid, lease } = await trackSubmission(store())
      expect(await store().submitted(uid, lease, { refused: 'too long' })).toMatchObject({
        id: null,
        status: 'failed',
        lastError: 'too long',
        endedAtMs: now(),
        nextPollAtMs: null,
        resolvedBy: null,
        eventUid: null,
      })
      expect(await store().submitted(uid, lease, { id: 'late' })).toBeUndefined()
    })

    test('with the id of another task makes the task failed, and leaves the other one as it was', async () => {
      const other = newTask()
      const { task: before } = await store().track(other)
      const { uid, lease } = await trackSubmission(store())
      expect(await store().submitted(uid, lease, { id: other.id })).toMatchObject({
        id: null,
        status: 'failed',
        lastError: expect.any(String),
        resolvedBy: null,
      })
      expect(await store().task('stripe', other.id)).toEqual(before)
      const elsewhere = await trackSubmission(store(), { source: 'eu' })
      expect(await store().submitted(elsewhere.uid, elsewhere.lease, { id: other.id })).toMatchObject({
        status: 'pending',
      })
    })

    test('under a lease that is not the task’s changes nothing', async () => {
      const { uid, lease } = await trackSubmission(store())
      pass(LEASE_MS)
      const next = await leaseOf(store(), uid)
      const before = await taskBy(store(), uid)
      expect(await store().submitted(uid, lease, { id: 'late' })).toBeUndefined()
      expect(await store().submitted(uid, lease, { refused: 'late' })).toBeUndefined()
      expect(await store().submitted(newUid(), next.lease, { id: 'late' })).toBeUndefined()
      expect(await taskBy(store(), uid)).toEqual(before)
      expect(await store().submitted(uid, next.lease, { id: 'given' })).toMatchObject({ status: 'pending' })
    })

    test('of a task that the provider has already changes nothing', async () => {
      const { uid, id, lease } = await trackLeased(store())
      expect(await store().submitted(uid, lease, { id: 'other' })).toBeUndefined()
      expect(await taskBy(store(), uid)).toMatchObject({ id, status: 'pending' })
    })
  })
}
