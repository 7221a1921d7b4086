import { describe, expect, test } from 'vitest'
import type { LeasedDelivery } from '../../src/domain/delivery.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, claimRequest, codeOf, newEvent, START_MS, settlement } from './store-samples.ts'
import { askedEvent, endEvent, newTask, trackLeased } from './task-samples.ts'

const LEASE_MS = 9_000

const offering = (handlers: readonly string[], given: Partial<NewEvent> = {}): NewEvent =>
  newEvent({ handlers: ['a', 'b', 'c'], lease: { handlers, leaseMs: LEASE_MS }, ...given })

export function describeLeasedAtAppend(fixture: Fixture): void {
  describeTaken(fixture)
  describeNotTaken(fixture)
}

function describeTaken({ store, now, pass }: Fixture): void {
  const takenOf = async (event: NewEvent): Promise<readonly LeasedDelivery[]> =>
    (await store().append(event)).leased ?? []

  describe('an append with an offer to lease', () => {
    test('leases the deliveries that it names, in that order, with the first attempt counted, and leaves the rest pending', async () => {
      pass(70)
      const event = offering(['c', 'a'])
      const receipt = await store().append(event)
      expect(receipt).toEqual({
        outcome: 'accepted',
        uid: event.uid,
        leased: ['c', 'a'].map((handler) => ({ handler, deliveryId: expect.any(Number), lease: expect.any(String) })),
      })
      const deliveries = (await store().event(event.uid))?.deliveries
      expect(deliveries?.map(({ handler, state, attempts }) => [handler, state, attempts])).toEqual([
        ['a', 'running', 1],
        ['b', 'pending', 0],
        ['c', 'running', 1],
      ])
      expect((await store().counts()).deliveries).toMatchObject({ pending: 1, running: 2 })
    })

    test('leaves only the other deliveries to a claim', async () => {
      await store().append(offering(['a', 'c']))
      const handlers = ['a', 'b', 'c'].map((name) => ({ name, limit: 9 }))
      const { work, nextDueAtMs } = await store().claim(claimRequest({ handlers, leaseMs: 2 * LEASE_MS }))
      expect(work.map(({ handler }) => handler)).toEqual(['b'])
      expect(nextDueAtMs).toBe(now() + LEASE_MS)
    })

    test('gives each delivery a lease of its own length where the offer names one for each', async () => {
      const lease = { handlers: ['c', 'a'], leaseMs: [2_000, 5_000] }
      const event = offering([], { lease })
      expect((await store().append(event)).leased).toHaveLength(2)
      const handlers = ['a', 'c'].map((name) => ({ name, limit: 9 }))
      const claim = () => store().claim(claimRequest({ handlers }))
      expect((await claim()).nextDueAtMs).toBe(now() + 2_000)
      pass(2_000)
      expect((await claim()).work.map(({ handler }) => handler)).toEqual(['c'])
      pass(3_000)
      expect((await claim()).work.map(({ handler }) => handler)).toEqual(['a'])
    })

    test('gives leases that settle once, as those of a claim do', async () => {
      const event = offering(['a', 'b'])
      const [a, b] = await takenOf(event)
      if (a === undefined || b === undefined) throw new Error('two leases were expected')
      const failed = settlement(b, { verdict: 'retry', outcome: 'failed', error: 'no', dueAtMs: now() })
      expect(await store().settle([settlement(a), failed])).toEqual([true, true])
      expect(await store().settle([settlement(a)])).toEqual([false])
      const handlers = [{ name: 'b', limit: 1 }]
      expect(await claimOne(store(), { handlers })).toMatchObject({ deliveryId: b.deliveryId, attempt: 2 })
      const [first, second] = (await store().event(event.uid))?.deliveries ?? []
      expect(first).toMatchObject({ state: 'succeeded', attempts: 1, history: [{ number: 1, outcome: 'succeeded' }] })
      expect(second).toMatchObject({ state: 'running', attempts: 2, history: [{ number: 1, outcome: 'failed' }] })
    })

    test('gives a lease that runs out, and then no longer settles', async () => {
      pass(50)
      const event = offering(['a'], { handlers: ['a'] })
      const [lost] = await takenOf(event)
      if (lost === undefined) throw new Error('a lease was expected')
      pass(LEASE_MS - 1)
      expect((await store().claim(claimRequest())).work).toEqual([])
      pass(1)
      expect(await claimOne(store())).toMatchObject({ deliveryId: lost.deliveryId, attempt: 2, isolated: false })
      expect(await store().settle([settlement(lost)])).toEqual([false])
      const startedAtMs = START_MS + 50
      expect((await store().event(event.uid))?.deliveries[0]?.history).toMatchObject([
        { number: 1, outcome: 'lease_lost', startedAtMs, durationMs: LEASE_MS },
      ])
    })

    test('leases a delivery at once though its event is due later by its time of receipt', async () => {
      expect(await takenOf(offering(['a'], { receivedAtMs: START_MS + 60_000 }))).toHaveLength(1)
    })

    test('leases nothing if it names no handler', async () => {
      const event = offering([])
      expect(await store().append(event)).toEqual({ outcome: 'accepted', uid: event.uid })
      expect((await store().counts()).deliveries).toMatchObject({ pending: 3, running: 0 })
    })

    test('gives each of many events at once leases of its own', async () => {
      const events = Array.from({ length: 100 }, (_, n) =>
        offering(n % 3 === 0 ? [] : ['b', 'a'], { handlers: ['a', 'b'] }),
      )
      const taken = await Promise.all(events.map(takenOf))
      for (const [at, { uid, lease }] of events.entries()) {
        expect(taken[at]?.map(({ handler }) => handler)).toEqual(lease?.handlers)
        const states = (await store().event(uid))?.deliveries.map(({ state }) => state)
        expect(new Set(states)).toEqual(new Set([lease?.handlers.length === 0 ? 'pending' : 'running']))
      }
      const settled = await store().settle(taken.flat().map((leased) => settlement(leased)))
      expect(settled).toEqual(Array(settled.length).fill(true))
      expect((await store().counts()).deliveries).toMatchObject({ running: 0, succeeded: settled.length })
    })

    test('leases the deliveries of the event that ends a task', async () => {
      const task = newTask()
      await store().track(task)
      const handlers = ['a']
      expect(await takenOf(endEvent(task, { handlers, lease: { handlers, leaseMs: 1 } }))).toHaveLength(1)
      expect(await store().task(task.source, task.id ?? '')).toMatchObject({ status: 'completed' })
    })
  })
}

function describeNotTaken({ store }: Fixture): void {
  const handlers = ['a']
  const lease = { handlers, leaseMs: LEASE_MS }

  describe('an append with an offer to lease', () => {
    test('leases nothing of a duplicate or a conflict', async () => {
      const first = newEvent({ handlers })
      await store().append(first)
      const duplicate = { ...first, uid: newUid(), lease }
      const conflict = { ...duplicate, uid: newUid(), body: Buffer.from('another') }
      expect(await store().append(duplicate)).toEqual({ outcome: 'duplicate', uid: first.uid })
      expect(await store().append(conflict)).toEqual({ outcome: 'conflict', uid: conflict.uid })
      expect((await store().counts()).deliveries).toMatchObject({ pending: 1, running: 0 })
    })

    test('leases nothing of a duplicate in the same batch', async () => {
      const first = offering(['a'])
      const receipts = await Promise.all([first, { ...first, uid: newUid() }].map((each) => store().append(each)))
      expect(receipts.map(({ outcome, leased }) => [outcome, leased?.length])).toEqual([
        ['accepted', 1],
        ['duplicate', undefined],
      ])
    })

    test('leases nothing of a superseded event, or of the answer to a poll under a lease that is lost', async () => {
      const task = newTask()
      await store().track(task)
      await store().append(endEvent(task, { handlers }))
      const late = endEvent(task, { handlers, lease })
      expect(await store().append(late)).toEqual({ outcome: 'superseded', uid: late.uid })
      const asked = await trackLeased(store())
      await store().cancelTask(asked.uid)
      const fenced = askedEvent(asked, { handlers, lease })
      expect(await store().append(fenced)).toEqual({ outcome: 'fenced', uid: fenced.uid })
      expect((await store().counts()).deliveries.running).toBe(0)
    })

    test.each([
      ['a handler that the event is not for', ['a', 'z']],
      ['a handler twice', ['a', 'a']],
    ])('is refused as invalid, alone in its batch, if it names %s', async (_, offered) => {
      const events = [offering(['a']), offering(offered), offering(['b'])]
      const answers = await Promise.all(events.map((event) => codeOf(store().append(event))))
      expect(answers).toEqual(['it resolved', 'invalid_request', 'it resolved'])
      expect((await store().events({}, { limit: 9 })).items).toHaveLength(2)
    })
  })
}
