import { describe, expect, test } from 'vitest'
import type { Settlement, Work } from '../../src/domain/delivery.ts'
import { newUid } from '../../src/domain/names.ts'
import { MAX_CAUSE_KEYS } from '../../src/storage/shared/dead-letters.ts'
import type { Fixture } from './store-contract.ts'
import { allPages, claimRequest, codeOf, discarded, newEvent, pruned, settlement } from './store-samples.ts'

const HANDLERS = ['a', 'b', 'c']
const ALL = claimRequest({ handlers: HANDLERS.map((name) => ({ name, limit: 100 })) })
const DEAD: Partial<Settlement> = { verdict: 'dead', outcome: 'failed', error: 'no' }

/** What an operator does with dead deliveries that need nothing more. */
export function describeDiscard({ store, now, pass }: Fixture): void {
  /** Appends an event, of whose deliveries all die but those to the handlers named. */
  async function dead(given: Parameters<typeof newEvent>[0] = {}, living: readonly string[] = []): Promise<string> {
    const event = newEvent({ handlers: HANDLERS, ...given })
    await store().append(event)
    const { work } = await store().claim(ALL)
    await store().settle(work.filter(({ handler }) => !living.includes(handler)).map((each) => settlement(each, DEAD)))
    return event.uid
  }
  const statesOf = async (uid: string) =>
    Object.fromEntries(((await store().event(uid))?.deliveries ?? []).map(({ handler, state }) => [handler, state]))

  describe('`discardOf`', () => {
    test('makes the dead deliveries of one event discarded, at that time, and leaves the others', async () => {
      const uid = await dead({}, ['c'])
      const other = await dead()
      pass(50)
      expect(await store().discardOf(uid)).toEqual(['a', 'b'])
      expect(await statesOf(uid)).toEqual({ a: 'discarded', b: 'discarded', c: 'running' })
      expect((await store().event(uid))?.deliveries[0]).toMatchObject({ dueAtMs: now(), lastError: 'no' })
      expect(await statesOf(other)).toEqual({ a: 'dead', b: 'dead', c: 'dead' })
      expect(await store().discardOf(uid)).toEqual([])
    })

    test('with a handler discards its delivery alone, and tells of an event or a handler that there is not', async () => {
      const uid = await dead()
      expect(await store().discardOf(uid, 'b')).toEqual(['b'])
      expect(await statesOf(uid)).toEqual({ a: 'dead', b: 'discarded', c: 'dead' })
      expect(await codeOf(store().discardOf(uid, 'other'))).toBe('handler_not_found')
      expect(await codeOf(store().discardOf(newUid()))).toBe('event_not_found')
    })
  })

  describe('`discard`', () => {
    test('walks over the dead deliveries that match in bounded steps, and counts them in another state', async () => {
      for (let at = 0; at < 5; at++) await dead({ type: at % 2 === 0 ? 'invoice.paid' : 'charge', source: 'eu' })
      const filter = { type: 'invoice.*', handler: 'b', source: 'eu' }
      const told = await store().matchDead(filter, 2)
      expect(told).toMatchObject({ count: 3, more: false })
      expect(told.sample).toMatchObject([
        { handler: 'b', state: 'dead', source: 'eu' },
        { handler: 'b', type: 'invoice.paid' },
      ])
      expect(await discarded(store(), filter, 2)).toBe(3)
      expect(await store().matchDead(filter, 2)).toEqual({ count: 0, more: false, sample: [] })
      expect(await discarded(store(), { source: 'stripe' })).toBe(0)
      const listed = await allPages((page) => store().deliveries({ state: 'discarded' }, page), 2)
      expect(listed).toHaveLength(3)
      expect(listed.every(({ handler, state }) => handler === 'b' && state === 'discarded')).toBe(true)
      await expect.poll(() => store().counts()).toMatchObject({ deliveries: { dead: 12, discarded: 3 } })
    })

    test('of a cause with any number of handlers discards all of them, also if those before have none left', async () => {
      const handlers = Array.from({ length: 2 * MAX_CAUSE_KEYS + 5 }, (_, at) => `h${at}`)
      await store().append(newEvent({ handlers }))
      const limits = handlers.map((name) => ({ name, limit: 1 }))
      const { work } = await store().claim(claimRequest({ handlers: limits, sharedLimit: handlers.length }))
      const caused = ({ handler, event: { source } }: Work): Partial<Settlement> => ({
        ...DEAD,
        cause: { id: 'c', signature: 'no', handler, source },
      })
      await store().settle(work.map((each) => settlement(each, caused(each))))
      for (const handler of handlers.slice(0, MAX_CAUSE_KEYS)) await discarded(store(), { cause: 'c', handler })
      expect(await store().matchDead({ cause: 'c' }, 0)).toMatchObject({ count: MAX_CAUSE_KEYS, more: true })
      expect(await discarded(store(), { cause: 'c' }, 100)).toBe(MAX_CAUSE_KEYS + 5)
      expect(await store().matchDead({ cause: 'c' }, 0)).toMatchObject({ count: 0, more: false })
    })

    test('refuses a filter out of bounds', async () => {
      expect(await codeOf(store().discard({ filter: { q: 'x'.repeat(1_000) }, limit: 1 }))).toBe('invalid_request')
      expect(await codeOf(store().matchDead({ q: 'x'.repeat(1_000) }, 1))).toBe('invalid_request')
    })
  })

  describe('a discarded delivery', () => {
    test('runs again if it is replayed, with all its attempts', async () => {
      const uid = await dead()
      await store().discardOf(uid)
      const replay = { eventUid: uid, status: 'accepted', reasons: [] } as const
      expect(await store().replay({ ...replay, handlers: HANDLERS, only: 'dead' })).toMatchObject({ handlers: [] })
      expect(await store().replay({ ...replay, handlers: ['a'] })).toMatchObject({ handlers: ['a'] })
      expect((await store().claim(ALL)).work).toMatchObject([{ handler: 'a', attempt: 1 }])
      expect(await statesOf(uid)).toEqual({ a: 'running', b: 'discarded', c: 'discarded' })
    })

    test('that is replayed at the same time runs', async () => {
      for (let at = 0; at < 20; at++) {
        const uid = await dead({ handlers: ['a'] })
        const replay = { eventUid: uid, handlers: ['a'], status: 'accepted', reasons: [] } as const
        await Promise.all([store().discard({ filter: {}, limit: 10 }), store().replay(replay)])
        expect(await statesOf(uid)).toEqual({ a: 'pending' })
        await discarded(store(), {})
        expect(await statesOf(uid)).toEqual({ a: 'pending' })
        const { work } = await store().claim(ALL)
        await store().settle(work.map((each) => settlement(each)))
      }
      await expect.poll(() => store().counts()).toMatchObject({ deliveries: { pending: 0, dead: 0, discarded: 0 } })
    })

    test('lets a quarantined event give its id up, as a dead one does', async () => {
      const event = newEvent({ handlers: ['a', 'b'] })
      await store().append(event)
      const { work } = await store().claim(ALL)
      const refuse = async (handler: string) => {
        const refused = work.filter((each) => each.handler === handler)
        await store().settle(refused.map((each) => settlement(each, { ...DEAD, quarantine: ['no'] })))
      }
      await refuse('a')
      await store().discardOf(event.uid, 'a')
      const corrected = { ...event, body: Buffer.from('corrected') }
      expect(await store().append({ ...corrected, uid: newUid() })).toMatchObject({ outcome: 'conflict' })
      await refuse('b')
      const other = { ...event, body: Buffer.from('corrected again'), uid: newUid() }
      expect(await store().append(other)).toMatchObject({ outcome: 'accepted' })
    })

    test('is no longer kept as the dead ones are', async () => {
      const uid = await dead()
      pass(1_000)
      const bounds = { receivedBeforeMs: now(), deadReceivedBeforeMs: now() - 10_000, limit: 10 }
      expect(await store().prune(bounds)).toMatchObject({ events: 0 })
      await store().discardOf(uid)
      expect(await store().prune(bounds)).toMatchObject({ events: 1, dead: 0 })
      expect(await pruned(store(), now())).toBe(0)
    })

    test('does not run again when its event is sent again', async () => {
      const event = newEvent({ handlers: ['a'] })
      await store().append(event)
      const { work } = await store().claim(ALL)
      await store().settle(work.map((each) => settlement(each, DEAD)))
      expect(await store().append({ ...event, uid: newUid() })).toMatchObject({ outcome: 'duplicate', dead: ['a'] })
      await store().discardOf(event.uid)
      expect(await store().append({ ...event, uid: newUid() })).toEqual({ outcome: 'duplicate', uid: event.uid })
    })
  })
}
