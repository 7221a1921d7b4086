import { describe, expect, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { EndedTask, Task } from '../../src/domain/task.ts'
import type { Fixture } from './store-contract.ts'
import { codeOf, newEvent } from './store-samples.ts'
import { askedEvent, endEvent, newTask, taskBy, trackLeased, trackSubmission } from './task-samples.ts'

export function describeTaskEnds(fixture: Fixture): void {
  describeEndByEvent(fixture)
  describeNotItsEnd(fixture)
  describeCancel(fixture)
  describeTelling(fixture)
}

function describeEndByEvent({ store, now, pass }: Fixture): void {
  describe('an event that ends a task', () => {
    test.each(['completed', 'failed', 'cancelled'] as const)(
      'as %s ends the task in the transaction of its append',
      async (status) => {
        const task = newTask()
        await store().track(task)
        pass(20)
        const event = endEvent(task, { taskEnd: { status, word: 'their word' }, receivedAtMs: now() })
        expect(await store().append(event)).toEqual({ outcome: 'accepted', uid: event.uid })
        expect(await taskBy(store(), task.uid)).toMatchObject({
          status,
          providerStatus: 'their word',
          endedAtMs: now(),
          nextPollAtMs: null,
          lastError: null,
          resolvedBy: 'webhook',
          eventUid: event.uid,
        })
        expect(await store().event(event.uid)).toMatchObject({ status: 'accepted', deliveries: [{ state: 'pending' }] })
      },
    )

    test('ends the task though no handler takes the event, and though the task is leased for a poll', async () => {
      const { uid, id, source, lease } = await trackLeased(store())
      await store().append(endEvent({ source, id }, { status: 'unhandled', handlers: [] }))
      expect(await taskBy(store(), uid)).toMatchObject({ status: 'completed', resolvedBy: 'webhook' })
      expect(await store().postpone([{ uid, lease, dueAtMs: now() }])).toEqual([false])
    })

    test('supersedes each later one, which is stored without deliveries', async () => {
      const task = newTask()
      await store().track(task)
      await store().append(endEvent(task))
      const before = await taskBy(store(), task.uid)
      const later = endEvent(task, { taskEnd: { status: 'failed', word: 'failed' } })
      expect(await store().append(later)).toEqual({ outcome: 'superseded', uid: later.uid })
      expect(await store().event(later.uid)).toMatchObject({ id: later.id, status: 'superseded', deliveries: [] })
      expect((await store().events({ status: 'superseded' }, { limit: 5 })).items).toHaveLength(1)
      expect(await taskBy(store(), task.uid)).toEqual(before)
    })

    test('has duplicates and conflicts as any other event, and so has a superseded one', async () => {
      const task = newTask()
      await store().track(task)
      const [first, later] = [endEvent(task), endEvent(task)]
      for (const event of [first, later]) await store().append(event)
      for (const event of [first, later]) {
        expect(await store().append({ ...event, uid: newUid() })).toEqual({ outcome: 'duplicate', uid: event.uid })
        const other = { ...event, uid: newUid(), body: Buffer.from('other') }
        expect(await store().append(other)).toEqual({ outcome: 'conflict', uid: other.uid })
      }
    })

    test('is exactly one of several that come at once', async () => {
      const task = newTask()
      await store().track(task)
      const receipts = await Promise.all(Array.from({ length: 5 }, () => store().append(endEvent(task))))
      const outcomes = receipts.map(({ outcome }) => outcome).sort()
      expect(outcomes).toEqual(['accepted', ...Array(4).fill('superseded')])
    })

    test('leaves the task as it is where the event cannot be stored', async () => {
      const { uid } = newEvent()
      await store().append(newEvent({ uid }))
      const task = newTask()
      const { task: before } = await store().track(task)
      expect(await codeOf(store().append(endEvent(task, { uid })))).toBe('invalid_request')
      expect(await taskBy(store(), task.uid)).toEqual(before)
    })
  })
}

function describeNotItsEnd({ store }: Fixture): void {
  describe('an event that does not end a task', () => {
    test('is accepted before the end of the task and after it', async () => {
      const task = newTask()
      const { task: before } = await store().track(task)
      expect(await store().append(newEvent({ task: task.id }))).toMatchObject({ outcome: 'accepted' })
      expect(await taskBy(store(), task.uid)).toEqual(before)
      await store().append(endEvent(task))
      const after = newEvent({ task: task.id })
      expect(await store().append(after)).toEqual({ outcome: 'accepted', uid: after.uid })
      expect(await store().event(after.uid)).toMatchObject({ deliveries: [{ state: 'pending' }] })
    })

    test('leaves the task as it is where the event is of another source, of no task, or in conflict', async () => {
      const task = newTask()
      const { task: before } = await store().track(task)
      const first = newEvent({ task: task.id })
      await store().append(first)
      const others: [NewEvent, string][] = [
        [endEvent({ ...task, source: 'eu' }), 'accepted'],
        [endEvent({ source: 'stripe' }), 'accepted'],
        [endEvent(task, { id: first.id, body: Buffer.from('other') }), 'conflict'],
      ]
      for (const [event, outcome] of others) expect(await store().append(event)).toMatchObject({ outcome })
      expect(await taskBy(store(), task.uid)).toEqual(before)
    })

    test('leaves a task that is being submitted as it is while the provider’s id is not known', async () => {
      const { uid } = await trackSubmission(store())
      const before = await taskBy(store(), uid)
      for (const id of ['given', uid])
        expect(await store().append(endEvent({ source: 'stripe', id }))).toMatchObject({ outcome: 'accepted' })
      expect(await taskBy(store(), uid)).toEqual(before)
    })
  })
}

function describeCancel({ store, now, pass }: Fixture): void {
  describe('`cancelTask`', () => {
    test('ends a task without an event, and once', async () => {
      const { uid, lease } = await trackLeased(store())
      pass(20)
      const cancelled = await store().cancelTask(uid)
      expect(cancelled).toMatchObject({
        uid,
        status: 'cancelled',
        endedAtMs: now(),
        nextPollAtMs: null,
        resolvedBy: null,
        eventUid: null,
      })
      pass(20)
      expect(await store().cancelTask(uid)).toEqual(cancelled)
      expect(await store().postpone([{ uid, lease, dueAtMs: now() }])).toEqual([false])
      expect(await taskBy(store(), uid)).toEqual(cancelled)
    })

    test('keeps the last status and error that the provider gave', async () => {
      const { uid, lease } = await trackLeased(store())
      await store().postpone([{ uid, lease, dueAtMs: now(), outcome: { providerStatus: 'RUNNING', error: 'down' } }])
      const cancelled = await store().cancelTask(uid)
      expect(cancelled).toMatchObject({ status: 'cancelled', providerStatus: 'RUNNING', lastError: 'down' })
    })

    test('of a task that is being submitted takes the right to submit it', async () => {
      const { uid, lease } = await trackSubmission(store())
      expect(await store().cancelTask(uid)).toMatchObject({ status: 'cancelled', id: null })
      expect(await store().submitted(uid, lease, { id: 'given' })).toBeUndefined()
    })

    test('leaves a terminal task as it is, and gives undefined for a task that does not exist', async () => {
      const task = newTask()
      await store().track(task)
      await store().append(endEvent(task))
      const before = await taskBy(store(), task.uid)
      expect(await store().cancelTask(task.uid)).toEqual(before)
      expect(await store().cancelTask(newUid())).toBeUndefined()
    })

    test('does not keep later events of the task from being accepted', async () => {
      const task = newTask()
      await store().track(task)
      const cancelled = await store().cancelTask(task.uid)
      for (const event of [endEvent(task), endEvent(task)]) {
        expect(await store().append(event)).toEqual({ outcome: 'accepted', uid: event.uid })
        expect(await store().event(event.uid)).toMatchObject({ deliveries: [{ state: 'pending' }] })
      }
      expect(await taskBy(store(), task.uid)).toEqual(cancelled)
    })
  })
}

function describeTelling({ store }: Fixture): void {
  describe('`onTaskEnded`', () => {
    test('tells each listener of each end once', async () => {
      const told: EndedTask[] = []
      const uids: string[] = []
      store().onTaskEnded((ended) => told.push(ended))
      store().onTaskEnded(({ uid }) => uids.push(uid))
      const seen: Promise<Task>[] = []
      store().onTaskEnded(({ uid }) => seen.push(taskBy(store(), uid)))
      const expected: EndedTask[] = []
      const expectEnd = (uid: string, rest: Omit<EndedTask, 'uid' | 'source'>) =>
        expected.push({ uid, source: 'stripe', ...rest })

      const [hooked, late] = [newTask(), newTask()]
      await store().track(hooked)
      await store().append(endEvent(hooked, { taskEnd: { status: 'failed', word: 'no' } }))
      expectEnd(hooked.uid, { id: hooked.id, status: 'failed', by: 'webhook' })
      await store().append(endEvent(late))
      await store().track(late)
      expectEnd(late.uid, { id: late.id, status: 'completed', by: 'webhook' })
      for (const by of ['poll', 'expiry'] as const) {
        const leased = await trackLeased(store())
        await store().append(askedEvent(leased, {}, by))
        expectEnd(leased.uid, { id: leased.id, status: 'completed', by })
      }
      const submissions = [{ id: 'given' }, { id: hooked.id }, { refused: 'no' }]
      await store().append(endEvent({ source: 'stripe', id: 'given' }))
      for (const submission of submissions) {
        const { uid, lease } = await trackSubmission(store())
        await store().submitted(uid, lease, submission)
        if (submission === submissions[0]) expectEnd(uid, { id: 'given', status: 'completed', by: 'webhook' })
        else expectEnd(uid, { id: undefined, status: 'failed', by: undefined })
      }
      const cancelled = newTask()
      await store().track(cancelled)
      await store().cancelTask(cancelled.uid)
      expectEnd(cancelled.uid, { id: cancelled.id, status: 'cancelled', by: undefined })
      expect(told).toEqual(expected)
      expect(uids).toEqual(expected.map(({ uid }) => uid))
      // After the commit: a listener that looks sees the end.
      expect((await Promise.all(seen)).map(({ status }) => status)).toEqual(expected.map(({ status }) => status))
    })

    test('tells its listeners nothing of events that end no task', async () => {
      const leased = await trackLeased(store())
      const end = endEvent(leased)
      await store().append(end)
      const told: EndedTask[] = []
      store().onTaskEnded((ended) => told.push(ended))
      await store().append(endEvent(leased))
      await store().append(askedEvent(leased))
      await store().append({ ...end, uid: newUid() })
      await store().append({ ...end, uid: newUid(), body: Buffer.from('other') })
      await store().append(endEvent(newTask()))
      await store().track(newTask({ id: leased.id }))
      await store().track(newTask())
      const { uid, lease } = await trackSubmission(store())
      await store().submitted(uid, '', { refused: 'late' })
      await store().submitted(uid, lease, { id: 'given' })
      await store().cancelTask(leased.uid)
      await store().cancelTask(newUid())
      expect(told).toEqual([])
    })
  })
}
