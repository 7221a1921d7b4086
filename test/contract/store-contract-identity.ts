import { describe, expect, test } from 'vitest'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, newEvent, pruned, settlement } from './store-samples.ts'
import { askedEvent, trackLeased } from './task-samples.ts'

const resent = (event: NewEvent, given: Partial<NewEvent> = {}): NewEvent => ({ ...event, uid: newUid(), ...given })
const quarantined = (given: Partial<NewEvent> = {}): NewEvent =>
  newEvent({ status: 'quarantined', reasons: ['why'], handlers: [], ...given })
const understood = (event: NewEvent, given: Partial<NewEvent> = {}): NewEvent =>
  resent(event, { status: 'accepted', reasons: [], handlers: ['a'], ...given })

export function describeIdentity(fixture: Fixture): void {
  describeQuarantined(fixture)
  describeUnderstoodLater(fixture)
  describeBodies(fixture)
  describeDead(fixture)
}

function describeQuarantined({ store }: Fixture): void {
  describe('a quarantined event', () => {
    test('does not take its id: the complete event that comes later is accepted, and the quarantined one stays as it is', async () => {
      const cut = quarantined()
      await store().append(cut)
      const whole = understood(cut, { body: Buffer.from('whole') })
      expect(await store().append(whole)).toEqual({ outcome: 'accepted', uid: whole.uid })
      expect(await store().event(cut.uid)).toMatchObject({ status: 'quarantined', reasons: ['why'] })
      expect((await claimOne(store())).event.uid).toBe(whole.uid)
    })

    test('does not take its id: the same bytes are accepted once they are understood', async () => {
      const first = quarantined()
      await store().append(first)
      const again = understood(first)
      expect(await store().append(again)).toEqual({ outcome: 'accepted', uid: again.uid })
      expect(await store().append(understood(first))).toEqual({ outcome: 'duplicate', uid: again.uid })
      expect(await store().append(resent(first))).toEqual({ outcome: 'duplicate', uid: again.uid })
      const other = understood(first, { body: Buffer.from('other') })
      expect(await store().append(other)).toEqual({ outcome: 'conflict', uid: other.uid })
    })

    test('that comes again is a duplicate of itself with the same bytes, and is stored with other bytes', async () => {
      const first = quarantined()
      const [again, other] = [resent(first), resent(first, { body: Buffer.from('other') })]
      const receipts = await Promise.all([first, again, other].map((event) => store().append(event)))
      expect(receipts).toEqual([
        { outcome: 'accepted', uid: first.uid },
        { outcome: 'duplicate', uid: first.uid },
        { outcome: 'accepted', uid: other.uid },
      ])
      expect(await store().append(resent(other))).toEqual({ outcome: 'duplicate', uid: other.uid })
    })

    test('under the id of an event that was understood is stored as quarantined, once', async () => {
      const good = newEvent()
      await store().append(good)
      const cut = quarantined({ id: good.id, body: Buffer.from('cut') })
      expect(await store().append(cut)).toEqual({ outcome: 'accepted', uid: cut.uid })
      expect(await store().event(cut.uid)).toMatchObject({ status: 'quarantined', reasons: ['why'] })
      expect(await store().append(resent(cut))).toEqual({ outcome: 'duplicate', uid: cut.uid })
      expect(await store().append(understood(cut))).toMatchObject({ outcome: 'conflict' })
    })

    test('in one batch with the complete event is stored apart from it', async () => {
      const cut = quarantined()
      const whole = understood(cut, { body: Buffer.from('whole') })
      const receipts = await Promise.all([cut, whole, resent(whole)].map((event) => store().append(event)))
      expect(receipts.map(({ outcome }) => outcome)).toEqual(['accepted', 'accepted', 'duplicate'])
    })

    test('that is the answer to a poll does not take its id', async () => {
      const asked = askedEvent(await trackLeased(store()), { status: 'quarantined', reasons: ['why'], handlers: [] })
      expect((await store().append(asked)).outcome).toBe('accepted')
      const { taskLease: _, task: __, taskEnd: ___, ...rest } = asked
      const webhook = understood(rest, { origin: 'webhook' })
      expect(await store().append(webhook)).toEqual({ outcome: 'accepted', uid: webhook.uid })
    })

    test('that retention deletes leaves no trace of its bytes', async () => {
      const [cut, known] = [quarantined(), quarantined({ dedupe: 'body' })]
      await store().append(cut)
      await store().append(known)
      expect(await pruned(store(), cut.receivedAtMs + 1, 10)).toBe(2)
      expect((await store().append(resent(cut))).outcome).toBe('accepted')
      expect((await store().append(resent(known, { id: 'another' }))).outcome).toBe('accepted')
    })
  })
}

function describeUnderstoodLater({ store }: Fixture): void {
  describe('a quarantined event that is replayed and understood', () => {
    const replay = (eventUid: string) => store().replay({ eventUid, handlers: ['a'], status: 'accepted', reasons: [] })

    test('runs and takes its id', async () => {
      const event = quarantined()
      await store().append(event)
      expect(await replay(event.uid)).toEqual({ status: 'accepted', reasons: [], handlers: ['a'] })
      expect(await store().append(understood(event))).toEqual({ outcome: 'duplicate', uid: event.uid })
      expect(await store().append(resent(event))).toEqual({ outcome: 'duplicate', uid: event.uid })
      expect((await store().append(understood(event, { body: Buffer.from('other') }))).outcome).toBe('conflict')
    })

    test('keeps its id if it is quarantined again', async () => {
      const event = quarantined()
      await store().append(event)
      await replay(event.uid)
      await store().replay({ eventUid: event.uid, handlers: [], status: 'quarantined', reasons: ['again'] })
      expect(await store().append(understood(event))).toEqual({ outcome: 'duplicate', uid: event.uid })
    })

    test.each(['with other bytes', 'with the same bytes'])(
      'becomes a conflict and does not run if its id was taken %s meanwhile, and runs at another replay',
      async (bytes) => {
        const event = quarantined()
        await store().append(event)
        const taker = understood(event, bytes === 'with other bytes' ? { body: Buffer.from('other') } : {})
        await store().append(taker)
        const replayed = await replay(event.uid)
        expect(replayed).toMatchObject({ status: 'conflict', handlers: [] })
        expect(replayed.reasons).toEqual([expect.stringContaining(taker.uid)])
        expect(await store().event(event.uid)).toMatchObject({
          status: 'conflict',
          reasons: replayed.reasons,
          deliveries: [],
        })
        expect((await claimOne(store())).event.uid).toBe(taker.uid)
        expect(await replay(event.uid)).toEqual({ status: 'accepted', reasons: [], handlers: ['a'] })
        expect(await store().append(resent(taker))).toMatchObject({ outcome: 'duplicate', uid: taker.uid })
      },
    )

    test('is deleted with the id that it took', async () => {
      const event = quarantined()
      await store().append(event)
      await replay(event.uid)
      await store().settle([settlement(await claimOne(store()))])
      expect(await pruned(store(), event.receivedAtMs + 1, 10)).toBe(1)
      expect((await store().append(understood(event))).outcome).toBe('accepted')
    })
  })
}

function describeBodies({ store }: Fixture): void {
  describe('where a source identifies duplicates by their bodies, `append`', () => {
    const known = (given: Partial<NewEvent> = {}) => newEvent({ dedupe: 'body', ...given })

    test('takes a known body under another id as a duplicate, also in the same batch', async () => {
      const first = known()
      const others = [resent(first, { id: 'x' }), resent(first, { id: 'y' })]
      const receipts = await Promise.all([first, ...others].map((event) => store().append(event)))
      expect(receipts.map(({ uid }) => uid)).toEqual([first.uid, first.uid, first.uid])
      expect(await store().append(resent(first, { id: 'z' }))).toEqual({ outcome: 'duplicate', uid: first.uid })
      expect((await store().append(resent(first, { id: 'z', body: Buffer.from('other') }))).outcome).toBe('accepted')
    })

    test('takes a known body under the id of another event as a duplicate, not a conflict', async () => {
      const [one, two] = [known(), known()]
      await store().append(one)
      await store().append(two)
      expect(await store().append(resent(one, { id: two.id }))).toEqual({ outcome: 'duplicate', uid: one.uid })
    })

    test('accepts the same body at another source, or at a source that knows events by their ids', async () => {
      const first = known()
      await store().append(first)
      expect((await store().append(resent(first, { source: 'other' }))).outcome).toBe('accepted')
      const { dedupe: _, ...byId } = resent(first, { id: 'x' })
      expect((await store().append(byId)).outcome).toBe('accepted')
    })

    test('accepts the body of a conflict, which does not run, under an id of its own', async () => {
      const first = known()
      const other = resent(first, { body: Buffer.from('other') })
      await store().append(first)
      expect(await store().append(other)).toEqual({ outcome: 'conflict', uid: other.uid })
      expect(await store().append(resent(other))).toEqual({ outcome: 'conflict', uid: other.uid })
      const alone = resent(other, { id: 'x' })
      expect(await store().append(alone)).toEqual({ outcome: 'accepted', uid: alone.uid })
      expect(await store().append(resent(other, { id: 'y' }))).toEqual({ outcome: 'duplicate', uid: alone.uid })
    })

    test('knows a quarantined body among quarantined events only', async () => {
      const cut = quarantined({ dedupe: 'body' })
      await store().append(cut)
      expect(await store().append(resent(cut, { id: 'x' }))).toEqual({ outcome: 'duplicate', uid: cut.uid })
      const whole = understood(cut, { id: 'y' })
      expect(await store().append(whole)).toEqual({ outcome: 'accepted', uid: whole.uid })
      expect(await store().append(resent(cut, { id: 'z' }))).toEqual({ outcome: 'duplicate', uid: whole.uid })
      const replay = { eventUid: cut.uid, handlers: ['a'], status: 'accepted', reasons: [] } as const
      expect(await store().replay(replay)).toMatchObject({ status: 'conflict', handlers: [] })
    })

    test('does not know the bodies of events that were stored without this setting', async () => {
      const before = newEvent()
      await store().append(before)
      expect((await store().append(resent(before, { id: 'x', dedupe: 'body' }))).outcome).toBe('accepted')
    })

    test('accepts a body again once its event is deleted', async () => {
      const first = known({ handlers: [] })
      await store().append(first)
      expect(await pruned(store(), first.receivedAtMs + 1, 10)).toBe(1)
      expect((await store().append(resent(first, { id: 'x' }))).outcome).toBe('accepted')
    })
  })
}

function describeDead({ store }: Fixture): void {
  describe('the dead deliveries of an event that comes again', () => {
    async function withOneDead(): Promise<NewEvent> {
      const event = newEvent({ handlers: ['a', 'b'] })
      await store().append(event)
      const [a, b] = ['a', 'b'].map((name) => ({ handlers: [{ name, limit: 1 }] }))
      await store().settle([settlement(await claimOne(store(), a), { verdict: 'dead', outcome: 'failed' })])
      await store().settle([settlement(await claimOne(store(), b))])
      return event
    }

    test('are named in the receipt of the duplicate', async () => {
      const event = await withOneDead()
      expect(await store().append(resent(event))).toEqual({ outcome: 'duplicate', uid: event.uid, dead: ['a'] })
    })

    test('run again once by a replay of dead deliveries only, however many callers ask for it at once', async () => {
      const event = await withOneDead()
      const replay = { eventUid: event.uid, handlers: ['a', 'b', 'new'], status: 'accepted', reasons: [] } as const
      const replays = await Promise.all([1, 2, 3].map(() => store().replay({ ...replay, only: 'dead' })))
      expect(replays.flatMap(({ handlers }) => handlers)).toEqual(['a'])
      await store().settle([settlement(await claimOne(store()))])
      expect((await store().replay({ ...replay, only: 'dead' })).handlers).toEqual([])
      expect((await store().event(event.uid))?.deliveries).toHaveLength(2)
    })
  })
}
