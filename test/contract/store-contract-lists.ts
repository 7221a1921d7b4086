import { describe, expect, test } from 'vitest'
import type { DeliveryFilter } from '../../src/domain/delivery-queue.ts'
import type { EventFilter } from '../../src/domain/event-filter.ts'
import { MAX_PAGE_SIZE } from '../../src/domain/limits.ts'
import { newUid } from '../../src/domain/names.ts'
import type { Fixture } from './store-contract.ts'
import { allPages, claimOne, claimRequest, codeOf, expectAll, newEvent, START_MS, settlement } from './store-samples.ts'

export function describeListing(fixture: Fixture): void {
  describeEvents(fixture)
  describeDeliveries(fixture)
  describeDeadLetters(fixture)
  describeReads(fixture)
}

function describeEvents({ store }: Fixture): void {
  const ids = async (filter: EventFilter, limit = 2): Promise<string[]> =>
    (await allPages((page) => store().events(filter, page), limit)).map(({ id }) => id)

  const fill = async (): Promise<void> => {
    const events = [
      { id: 'one', type: 'invoice.paid', task: 'task_A' },
      { id: 'two', type: 'invoice.created', status: 'unhandled', source: 'eu' },
      { id: 'three', type: 'Charge_100%', origin: 'poll', source: 'eu' },
      { id: 'four', type: 'invoice.line.added', status: 'quarantined', task: 'task_B' },
      { id: 'five', type: 'invoice.paid', origin: 'cli' },
    ] as const
    for (const [at, event] of events.entries()) {
      await store().append(newEvent({ ...event, receivedAtMs: START_MS + at * 10 }))
    }
  }

  describe('the list of events', () => {
    const cases: readonly [EventFilter, readonly string[]][] = [
      [{}, ['five', 'four', 'three', 'two', 'one']],
      [{ source: 'eu' }, ['three', 'two']],
      [{ source: 'nowhere' }, []],
      [{ type: 'invoice.paid' }, ['five', 'one']],
      [{ type: 'invoice.*' }, ['five', 'four', 'two', 'one']],
      [{ type: '*.added' }, ['four']],
      [{ type: 'inv*d' }, ['five', 'four', 'two', 'one']],
      [{ type: 'INVOICE.*' }, []],
      [{ type: 'invoice.?aid' }, []],
      [{ type: '*' }, ['five', 'four', 'three', 'two', 'one']],
      [{ source: 'stripe', type: 'invoice.*' }, ['five', 'four', 'one']],
      [{ source: 'eu', type: 'invoice.created' }, ['two']],
      [{ status: 'unhandled' }, ['two']],
      [{ status: 'conflict' }, []],
      [{ origin: 'poll' }, ['three']],
      [{ task: 'task_A' }, ['one']],
      [{ task: 'task_A', type: 'charge*' }, []],
      [{ task: 'task_A', type: 'invoice*', source: 'stripe', status: 'accepted' }, ['one']],
      [{ sinceMs: START_MS + 30 }, ['five', 'four']],
      [{ untilMs: START_MS + 30 }, ['three', 'two', 'one']],
      [{ sinceMs: START_MS + 10, untilMs: START_MS + 20 }, ['two']],
      [{ q: 'INVOICE.p' }, ['five', 'one']],
      [{ q: 'thre' }, ['three']],
      [{ q: 'TASK_b' }, ['four']],
      [{ q: '_100%' }, ['three']],
      [{ q: '%' }, ['three']],
      [{ q: '\\' }, []],
      [{ source: 'eu\0' }, []],
      [{ task: 'task_A\0' }, []],
      [{ type: 'invoice.paid\0' }, []],
      [{ task: 'task_A', type: 'invoice.paid\0' }, []],
      [{ task: 'task_A', type: 'invoice.paid' }, ['one']],
      [{ q: 'paid', origin: 'webhook', sinceMs: START_MS }, ['one']],
    ]
    test('has the events that match its filter, newest first', async () => {
      await fill()
      await expectAll(cases, async (filter) => [await ids(filter), await ids(filter, 50)])
    })

    test('with a filter that cannot be searched for is invalid_request', async () => {
      await fill()
      const filters: readonly EventFilter[] = [
        { q: '\0' },
        { q: 'one\0' },
        { q: '\0one' },
        { type: 'invoice.*\0' },
        { task: 'task_A', type: 'inv\0*' },
        { q: 'x'.repeat(257) },
      ]
      for (const filter of filters)
        expect.soft(await codeOf(store().events(filter, { limit: 2 })), JSON.stringify(filter)).toBe('invalid_request')
    })

    test('finds an event by its uid with q', async () => {
      await fill()
      const event = newEvent()
      await store().append(event)
      expect(await ids({ q: event.uid.slice(4, -4).toUpperCase() })).toEqual([event.id])
    })

    test('has the later appended of two events received together first, and no page repeats or misses an event', async () => {
      const events = Array.from({ length: 25 }, () => newEvent())
      for (const event of events) await store().append(event)
      const newestFirst = events.map(({ id }) => id).reverse()
      expect(await ids({}, 7)).toEqual(newestFirst)
      expect(await ids({ type: 'invoice.paid' }, 7)).toEqual(newestFirst)
    })

    test('goes on at its cursor when newer events have come', async () => {
      await fill()
      const first = await store().events({}, { limit: 2 })
      await store().append(newEvent({ receivedAtMs: START_MS + 1_000 }))
      const second = await store().events({}, { limit: 2, ...(first.nextCursor && { cursor: first.nextCursor }) })
      expect(second.items.map(({ id }) => id)).toEqual(['three', 'two'])
    })

    test('has every event whose append has resolved', async () => {
      for (let n = 0; n < 20; n++) {
        const event = newEvent({ receivedAtMs: START_MS + n })
        await store().append(event)
        expect((await store().events({}, { limit: 1 })).items[0]?.uid).toBe(event.uid)
      }
    })
  })

  describe('a page of a list', () => {
    test('with a cursor that no store gave is invalid_request', async () => {
      await fill()
      for (const cursor of ['', 'nonsense', '123', 'ZXZlbnRz', 'AAAA:::', '-1', "' OR 1=1"]) {
        expect.soft(await codeOf(store().events({}, { limit: 2, cursor })), cursor).toBe('invalid_request')
        expect.soft(await codeOf(store().deliveries({}, { limit: 2, cursor })), cursor).toBe('invalid_request')
      }
    })

    test('with the cursor of another list is invalid_request', async () => {
      await fill()
      const { nextCursor } = await store().events({}, { limit: 2 })
      expect(await codeOf(store().deliveries({}, { limit: 2, ...(nextCursor && { cursor: nextCursor }) }))).toBe(
        'invalid_request',
      )
    })

    test('with a limit that cannot be is invalid_request', async () => {
      for (const limit of [0, -1, 1.5, MAX_PAGE_SIZE + 1, Number.NaN]) {
        expect.soft(await codeOf(store().events({}, { limit })), `${limit}`).toBe('invalid_request')
        expect.soft(await codeOf(store().deliveries({}, { limit })), `${limit}`).toBe('invalid_request')
      }
    })
  })
}

function describeDeadLetters({ store, pass }: Fixture): void {
  describe('the list of dead letters', () => {
    /** Appends events, and has their deliveries die in this order, at times of their own. Gives their uids. */
    async function die(order: readonly number[], handler = 'a'): Promise<readonly string[]> {
      const events = order.map((_, at) => newEvent({ handlers: [handler], receivedAtMs: START_MS + at }))
      for (const event of events) await store().append(event)
      pass(1_000)
      const { work } = await store().claim(claimRequest({ handlers: [{ name: handler, limit: 100 }] }))
      for (const at of order) {
        const mine = work.filter(({ event }) => event.uid === events[at]?.uid)
        await store().settle(mine.map((each) => settlement(each, { verdict: 'dead', outcome: 'rejected' })))
        pass(10)
      }
      return order.map((at) => events[at]?.uid ?? '')
    }
    const listed = async (filter: DeliveryFilter = {}, limit = 2) =>
      (await allPages((page) => store().deliveries({ ...filter, state: 'dead' }, page), limit)).map(
        ({ eventUid }) => eventUid,
      )

    test('is in the order of their deaths, the last first, whenever their events came', async () => {
      const died = await die([2, 0, 4, 1, 3])
      const others = await die([1, 0], 'b')
      expect(await listed()).toEqual([...died, ...others].toReversed())
      expect(await listed({ handler: 'a' })).toEqual(died.toReversed())
      expect(await listed({}, 50)).toEqual([...died, ...others].toReversed())
    })

    test('has a place for each of those that died at the same time, and no page repeats or misses one', async () => {
      for (let n = 0; n < 7; n++) await store().append(newEvent({ handlers: ['a', 'b'] }))
      const handlers = ['a', 'b'].map((name) => ({ name, limit: 100 }))
      const { work } = await store().claim(claimRequest({ handlers }))
      await store().settle(work.map((each) => settlement(each, { verdict: 'dead', outcome: 'rejected' })))
      const whole = await store().deliveries({ state: 'dead' }, { limit: 50 })
      expect(whole.items).toHaveLength(14)
      expect(await allPages((page) => store().deliveries({ state: 'dead' }, page), 3)).toEqual(whole.items)
    })

    test('keeps the places of dead letters while others die, run again and die again between two pages', async () => {
      const [first = '', second = '', third = '', fourth = ''] = await die([1, 3, 0, 2])
      const page = await store().deliveries({ state: 'dead' }, { limit: 2 })
      expect(page.items.map(({ eventUid }) => eventUid)).toEqual([fourth, third])
      const replay = { handlers: ['a'], status: 'accepted', reasons: [] } as const
      for (const eventUid of [third, second]) await store().replay({ ...replay, eventUid })
      pass(1_000)
      const again = await store().claim(claimRequest())
      await store().settle(again.work.map((each) => settlement(each, { verdict: 'dead', outcome: 'rejected' })))
      await die([0])
      const rest = await store().deliveries(
        { state: 'dead' },
        { limit: 50, ...(page.nextCursor !== undefined && { cursor: page.nextCursor }) },
      )
      expect(rest.items.map(({ eventUid }) => eventUid)).toEqual([first])
      expect(rest.nextCursor).toBeUndefined()
    })

    test('has cursors of its own, which the list of other deliveries refuses', async () => {
      await die([0, 1, 2])
      const { nextCursor: cursor = '' } = await store().deliveries({ state: 'dead' }, { limit: 1 })
      expect(await codeOf(store().deliveries({}, { limit: 1, cursor }))).toBe('invalid_request')
      const other = await store().deliveries({}, { limit: 1 })
      expect(await codeOf(store().deliveries({ state: 'dead' }, { limit: 1, cursor: other.nextCursor ?? '' }))).toBe(
        'invalid_request',
      )
    })
  })
}

function describeDeliveries({ store }: Fixture): void {
  describe('the list of deliveries', () => {
    const uids: string[] = []
    const fill = async (): Promise<void> => {
      uids.length = 0
      for (const [at, source] of ['stripe', 'eu', 'stripe'].entries()) {
        const event = newEvent({ id: `evt_${at}`, source, handlers: ['a', 'b'] })
        uids.push(event.uid)
        await store().append(event)
      }
      const a = { handlers: [{ name: 'a', limit: 1 }] }
      await store().settle([settlement(await claimOne(store(), a), { verdict: 'dead', outcome: 'rejected' })])
      await store().settle([settlement(await claimOne(store(), a))])
      await claimOne(store(), a)
    }
    const listed = async (filter: DeliveryFilter, limit: number) =>
      (await allPages((page) => store().deliveries(filter, page), limit)).map(
        ({ eventUid, handler, state }) => `${uids.indexOf(eventUid)}${handler} ${state}`,
      )

    const all = ['2b pending', '2a running', '1b pending', '1a succeeded', '0b pending', '0a dead']
    const cases: readonly [DeliveryFilter, readonly string[]][] = [
      [{}, all],
      [{ state: 'pending' }, ['2b pending', '1b pending', '0b pending']],
      [{ state: 'running' }, ['2a running']],
      [{ state: 'succeeded' }, ['1a succeeded']],
      [{ state: 'dead' }, ['0a dead']],
      [{ handler: 'a' }, ['2a running', '1a succeeded', '0a dead']],
      [{ handler: 'c' }, []],
      [{ source: 'eu' }, ['1b pending', '1a succeeded']],
      [{ state: 'dead', source: 'eu' }, []],
      [{ state: 'dead', handler: 'a' }, ['0a dead']],
      [{ state: 'pending', handler: 'b', source: 'eu' }, ['1b pending']],
      [{ state: 'running', handler: 'b' }, []],
    ]
    test('has the deliveries that match its filter', async () => {
      await fill()
      await expectAll(cases, async (filter) => [await listed(filter, 2), await listed(filter, 50)])
    })

    test('with the uid of an event has the deliveries of that event', async () => {
      await fill()
      const eventUid = uids[1] ?? ''
      expect(await listed({ eventUid }, 1)).toEqual(['1b pending', '1a succeeded'])
      expect(await listed({ eventUid, state: 'pending' }, 1)).toEqual(['1b pending'])
      expect(await listed({ eventUid: newUid() }, 1)).toEqual([])
    })
  })
}

function describeReads({ store, now, pass }: Fixture): void {
  test('reading an event that does not exist gives undefined, and reading its body event_not_found', async () => {
    expect(await store().event(newUid())).toBeUndefined()
    expect(await store().eventForm(newUid())).toBeUndefined()
    expect(await codeOf(store().body(newUid()))).toBe('event_not_found')
  })

  test('`eventForm` gives the fields of an event with which its body is read, and nothing of its deliveries', async () => {
    const headers = { 'webhook-id': 'm1' }
    const event = newEvent({ origin: 'webhook', task: 't1', headers, handlers: ['a'] })
    await store().append(event)
    const { uid, source, id, type, receivedAtMs } = event
    const form = { source, id, type, origin: 'webhook', task: 't1', headers, receivedAtMs }
    expect(await store().eventForm(uid)).toEqual(form)
  })

  test('`counts` gives the number of deliveries in each state, and the time since which the oldest one is due', async () => {
    expect(await store().counts()).toMatchObject({
      deliveries: { pending: 0, running: 0, succeeded: 0, dead: 0, discarded: 0 },
      oldestDueAtMs: undefined,
    })
    await store().append(newEvent({ receivedAtMs: START_MS - 70, handlers: ['a', 'b'] }))
    await store().append(newEvent({ receivedAtMs: START_MS + 50 }))
    const work = await claimOne(store())
    await store().settle([
      settlement(work, { verdict: 'retry', outcome: 'failed', dueAtMs: now() + 100, isolate: true }),
    ])
    pass(50)
    // A store may answer from a cache of a few seconds.
    await expect
      .poll(() => store().counts(), { timeout: 5_000 })
      .toMatchObject({
        deliveries: { pending: 3, running: 0, succeeded: 0, dead: 0, discarded: 0 },
        oldestDueAtMs: START_MS - 70,
      })
  })
}
