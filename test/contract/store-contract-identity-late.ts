import { describe, expect, test } from 'vitest'
import type { Settlement, TypeRoutes, Work } from '../../src/domain/delivery.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, claimRequest, newEvent, pruned, settlement } from './store-samples.ts'
import { newTask } from './task-samples.ts'

const routes: TypeRoutes = {
  source: 'stripe',
  accepts: ['invoice.*'],
  handlers: [
    { name: 'a', types: ['invoice.paid'] },
    { name: 'b', types: ['invoice.*'] },
  ],
}
const other = (event: NewEvent, given: Partial<NewEvent> = {}): NewEvent => ({
  ...event,
  uid: newUid(),
  body: Buffer.from('other'),
  ...given,
})
const again = (event: NewEvent): NewEvent => ({ ...event, uid: newUid() })

/** As a handler's process ends what it finds not to be as its schema says. */
const refused = (work: Work, given: Partial<Settlement> = {}): Settlement =>
  settlement(work, {
    verdict: 'dead',
    outcome: 'rejected',
    error: 'no',
    quarantine: ['no'],
    judgement: 'schema 1',
    routes,
    ...given,
  })

export function describeLateQuarantine(fixture: Fixture): void {
  describeDisowned(fixture)
  describeSuccessor(fixture)
  describeJudged(fixture)
}

async function claimAll({ store }: Pick<Fixture, 'store'>, names = ['a', 'b']): Promise<readonly Work[]> {
  return (await store().claim(claimRequest({ handlers: names.map((name) => ({ name, limit: 10 })) }))).work
}

function describeDisowned({ store }: Fixture): void {
  describe('an event that its handler’s process quarantines', () => {
    test('gives up its id and its body', async () => {
      const alone = newEvent({ dedupe: 'body' })
      await store().append(alone)
      await store().settle([refused(await claimOne(store()))])
      const corrected = other(alone)
      expect(await store().append(corrected)).toEqual({ outcome: 'accepted', uid: corrected.uid })
      await store().settle([settlement(await claimOne(store()))])
      const elsewhere = { ...again(alone), id: 'another' }
      expect(await store().append(elsewhere)).toEqual({ outcome: 'accepted', uid: elsewhere.uid })
    })

    test('keeps its id where another handler has succeeded, and events in conflict with it do not run', async () => {
      const shared = newEvent({ handlers: ['a', 'b'] })
      await store().append(shared)
      const [a, b] = await claimAll({ store })
      const corrected = other(shared)
      await store().append(corrected)
      await store().settle([settlement(a as Work)])
      await store().settle([refused(b as Work)])
      expect((await store().append(other(shared, { body: Buffer.from('third') }))).outcome).toBe('conflict')
      expect(await store().event(corrected.uid)).toMatchObject({ status: 'conflict', deliveries: [] })
    })

    test('keeps its id while another handler may still succeed, and gives it up when that one has failed', async () => {
      const shared = newEvent({ handlers: ['a', 'b'] })
      await store().append(shared)
      const [a, b] = await claimAll({ store })
      const corrected = other(shared)
      await store().append(corrected)
      await store().settle([refused(a as Work)])
      expect((await store().append(again(corrected))).outcome).toBe('conflict')
      await store().settle([settlement(b as Work, { verdict: 'dead', outcome: 'failed', routes })])
      expect(await store().append(again(corrected))).toEqual({ outcome: 'duplicate', uid: corrected.uid })
      expect(await store().event(corrected.uid)).toMatchObject({ status: 'accepted' })
    })
  })
}

function describeSuccessor(fixture: Fixture): void {
  const { store } = fixture
  describe('when a late quarantine frees the id of an event,', () => {
    async function quarantinedBefore(...conflicts: readonly NewEvent[]): Promise<void> {
      const work = await claimOne(store())
      for (const each of conflicts) expect((await store().append(each)).outcome).toBe('conflict')
      expect(await store().settle([refused(work)])).toEqual([true])
    }

    test('the first event in conflict takes the id and runs, and is known from then on', async () => {
      const first = newEvent()
      const [one, two] = [other(first), other(first, { body: Buffer.from('third') })]
      await store().append(first)
      await quarantinedBefore(one, two)
      expect(await store().event(first.uid)).toMatchObject({ status: 'quarantined', reasons: ['no'] })
      expect(await store().event(one.uid)).toMatchObject({
        status: 'accepted',
        reasons: [],
        deliveries: [
          { handler: 'a', state: 'pending' },
          { handler: 'b', state: 'pending' },
        ],
      })
      const work = await claimAll(fixture)
      expect(work.map(({ event, body }) => [event.uid, Buffer.from(body).toString()])).toEqual([
        [one.uid, 'other'],
        [one.uid, 'other'],
      ])
      expect(await store().append(again(one))).toEqual({ outcome: 'duplicate', uid: one.uid })
      expect(await store().append(again(two))).toEqual({ outcome: 'conflict', uid: two.uid })
      expect(await store().event(two.uid)).toMatchObject({ status: 'conflict', deliveries: [] })
      await store().settle(work.map((each) => settlement(each)))
      await expect
        .poll(async () => (await store().counts()).deliveries)
        .toMatchObject({ pending: 0, succeeded: 2, dead: 1 })
    })

    test('the next event in conflict takes the id after the first one is quarantined too', async () => {
      const first = newEvent()
      const [one, two] = [other(first), other(first, { body: Buffer.from('third') })]
      await store().append(first)
      await quarantinedBefore(one, two)
      await store().settle((await claimAll(fixture)).map((work) => refused(work)))
      expect(await store().event(one.uid)).toMatchObject({ status: 'quarantined' })
      expect((await claimAll(fixture)).map(({ event }) => event.uid)).toEqual([two.uid, two.uid])
    })

    test('the event in conflict goes to the handlers of its own type', async () => {
      const events = [newEvent(), newEvent(), newEvent()]
      const types = ['invoice.created', 'invoice.void', 'charge.paid']
      for (const [at, event] of events.entries()) {
        await store().append(event)
        await quarantinedBefore(other(event, { type: types[at] ?? '' }))
      }
      const { items } = await store().events({}, { limit: 10 })
      expect(
        items
          .filter(({ status }) => status !== 'quarantined')
          .map(({ type, status, reasons }) => [type, status, reasons]),
      ).toEqual([
        ['charge.paid', 'unhandled', ['source stripe accepts only invoice.*']],
        ['invoice.void', 'accepted', []],
        ['invoice.created', 'accepted', []],
      ])
      expect((await claimAll(fixture)).map(({ handler, event }) => [handler, event.type])).toEqual([
        ['b', 'invoice.created'],
        ['b', 'invoice.void'],
      ])
    })

    test('an event in conflict that a replay has run takes the id without running again, and one that a replay has quarantined does not take the id', async () => {
      const [first, second] = [newEvent(), newEvent()]
      await store().append(first)
      const work = await claimOne(store())
      const [replayed, broken] = [other(first), other(second)]
      await store().append(replayed)
      await store().replay({ eventUid: replayed.uid, handlers: ['a'], status: 'accepted', reasons: [] })
      await store().settle([settlement(await claimOne(store()))])
      await store().settle([refused(work)])
      expect(await claimAll(fixture)).toEqual([])
      expect(await store().append(again(replayed))).toEqual({ outcome: 'duplicate', uid: replayed.uid })

      await store().append(second)
      const next = await claimOne(store())
      await store().append(broken)
      await store().replay({ eventUid: broken.uid, handlers: [], status: 'quarantined', reasons: ['why'] })
      await store().settle([refused(next)])
      expect(await store().append(again(broken))).toMatchObject({ outcome: 'accepted' })
    })

    test('an earlier quarantined event that a replay has made a conflict runs again', async () => {
      const first = newEvent()
      await store().append(first)
      await quarantinedBefore(other(first))
      const replay = { eventUid: first.uid, handlers: ['a'], status: 'accepted', reasons: [] } as const
      expect((await store().replay(replay)).status).toBe('conflict')
      await store().settle((await claimAll(fixture)).map((work) => refused(work)))
      expect((await claimAll(fixture)).map(({ handler, event }) => [handler, event.uid])).toEqual([
        ['a', first.uid],
        ['b', first.uid],
      ])
    })

    test('an event in conflict whose body is another event does not take the id, where bodies identify duplicates', async () => {
      const first = newEvent({ dedupe: 'body' })
      const [one, two] = [other(first), other(first, { body: Buffer.from('third') })]
      await store().append(first)
      const work = await claimOne(store())
      for (const each of [one, two]) await store().append(each)
      const alone = { ...again(one), id: 'its own' }
      expect(await store().append(alone)).toEqual({ outcome: 'accepted', uid: alone.uid })
      await store().settle([refused(work), settlement(await claimOne(store()))])
      expect((await claimAll(fixture)).map(({ event }) => event.uid)).toEqual([two.uid, two.uid])
      expect(await store().append({ ...again(two), id: 'x' })).toEqual({ outcome: 'duplicate', uid: two.uid })
    })

    test('no event takes the id after a settlement under a lost lease, and retention deletes an event with the id that it took', async () => {
      const first = newEvent()
      const one = other(first)
      await store().append(first)
      const work = await claimOne(store())
      await store().append(one)
      expect(await store().settle([{ ...refused(work), lease: 'forged' }])).toEqual([false])
      expect(await store().event(one.uid)).toMatchObject({ status: 'conflict' })
      await store().settle([refused(work)])
      await store().settle((await claimAll(fixture)).map((each) => settlement(each)))
      expect(await pruned(store(), first.receivedAtMs + 1)).toBe(2)
      expect((await store().append(again(one))).outcome).toBe('accepted')
    })

    test('an event in conflict that reports the end of a task ends it instead, and so does one that comes later', async () => {
      const task = { task: 'task_1', taskEnd: { status: 'completed', word: 'done' } } as const
      await store().track(newTask({ source: 'stripe', id: task.task }))
      const first = newEvent(task)
      const one = other(first, task)
      await store().append(first)
      await quarantinedBefore(one)
      expect(await store().task('stripe', task.task)).toMatchObject({ status: 'completed', eventUid: one.uid })
      await store().settle((await claimAll(fixture)).map((each) => refused(each)))
      const late = other(first, { ...task, body: Buffer.from('third') })
      expect((await store().append(late)).outcome).toBe('accepted')
    })
  })
}

function describeJudged({ store }: Fixture): void {
  describe('the bytes of an event that a handler’s process quarantined, when they come again,', () => {
    const unjudged = (given: Partial<NewEvent> = {}) => newEvent({ unjudged: ['schema 1'], ...given })
    async function quarantined(event: NewEvent): Promise<NewEvent> {
      expect((await store().append(event)).outcome).toBe('accepted')
      await store().settle([refused(await claimOne(store()))])
      return event
    }

    test('are a duplicate, as often as they come, while the same schema would judge them', async () => {
      const bad = await quarantined(unjudged())
      for (const _ of [1, 2])
        expect(await store().append(again(bad))).toEqual({ outcome: 'duplicate', uid: bad.uid, dead: ['a'] })
      expect((await store().deliveries({ state: 'dead' }, { limit: 10 })).items).toHaveLength(1)
      const detail = await store().event(bad.uid)
      expect(detail?.deliveries[0]?.history).toEqual([expect.not.objectContaining({ errorDetail: expect.anything() })])
    })

    test('are accepted once another schema would judge them, or the receiving process has judged them', async () => {
      const bad = await quarantined(unjudged())
      const mended = { ...again(bad), unjudged: ['schema 2'] }
      expect(await store().append(mended)).toEqual({ outcome: 'accepted', uid: mended.uid })
      await store().settle([refused(await claimOne(store()), { judgement: 'schema 2' })])
      expect((await store().append(again(mended))).uid).toBe(mended.uid)
      const { unjudged: _, ...judged } = again(bad)
      expect(await store().append(judged)).toEqual({ outcome: 'accepted', uid: judged.uid })
    })

    test('are a duplicate beside a corrected event that has the id', async () => {
      const bad = await quarantined(unjudged())
      const corrected = other(bad)
      await store().append(corrected)
      expect(await store().append(again(bad))).toMatchObject({ outcome: 'duplicate', uid: bad.uid })
      expect(await store().append(again(corrected))).toEqual({ outcome: 'duplicate', uid: corrected.uid })
    })

    test('are a duplicate under another id only where bodies identify duplicates', async () => {
      const [byId, byBody] = [await quarantined(unjudged()), await quarantined(unjudged({ dedupe: 'body' }))]
      expect((await store().append({ ...again(byId), id: 'x' })).outcome).toBe('accepted')
      expect(await store().append({ ...again(byBody), id: 'y' })).toMatchObject({
        outcome: 'duplicate',
        uid: byBody.uid,
      })
    })

    test('are a duplicate of the quarantined event after its replay was understood and ran', async () => {
      const bad = await quarantined(unjudged())
      await store().replay({ eventUid: bad.uid, handlers: ['a'], status: 'accepted', reasons: [] })
      expect(await store().append(again(bad))).toEqual({ outcome: 'duplicate', uid: bad.uid })
      await store().settle([settlement(await claimOne(store()))])
      expect(await store().append({ ...again(bad), unjudged: ['schema 2'] })).toEqual({
        outcome: 'duplicate',
        uid: bad.uid,
      })
    })

    test('are a duplicate where the receiving process quarantines them too', async () => {
      const bad = await quarantined(unjudged())
      const atTheDoor = { ...again(bad), status: 'quarantined', reasons: ['no'], handlers: [] } as const
      const { unjudged: _, ...judged } = atTheDoor
      expect(await store().append(judged)).toEqual({ outcome: 'duplicate', uid: bad.uid, dead: ['a'] })
    })
  })
}
