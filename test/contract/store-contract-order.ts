import { describe, expect, test } from 'vitest'
import type { Settlement, Work } from '../../src/domain/delivery.ts'
import type { ClaimRequest, Replay } from '../../src/domain/delivery-queue.ts'
import type { NewEvent } from '../../src/domain/event.ts'
import { newUid } from '../../src/domain/names.ts'
import type { Fixture } from './store-contract.ts'
import { allPages, claimRequest, codeOf, newEvent, pruned, settlement } from './store-samples.ts'

const KEY = 7
const ordered = (given: Partial<NewEvent> = {}): NewEvent => newEvent({ orderKeys: { a: KEY }, ...given })

/** Handlers that keep an order: the guarantees of `DeliveryQueue`. */
export function describeOrder(fixture: Fixture): void {
  describe('of the deliveries with one order key', () => {
    describeTurns(fixture)
    describeEnds(fixture)
    describeComingBack(fixture)
    describeShown(fixture)
  })
}

/** Steps that the tests below have in common. */
function stepsOf({ store }: Fixture) {
  const claim = async (given: Partial<ClaimRequest> = {}): Promise<readonly Work[]> =>
    (await store().claim(claimRequest({ ordered: true, ...given }))).work

  async function appended(count: number, given: Partial<NewEvent> = {}): Promise<readonly string[]> {
    const uids: string[] = []
    for (let n = 0; n < count; n++) uids.push((await store().append(ordered(given))).uid)
    return uids
  }

  async function claimed(given: Partial<ClaimRequest> = {}): Promise<readonly string[]> {
    return (await claim(given)).map(({ event }) => event.uid)
  }

  const settle = (works: readonly Work[], given: Partial<Settlement> = {}): Promise<readonly boolean[]> =>
    store().settle(works.map((work) => settlement(work, { ordered: true, ...given })))

  return { claim, claimed, appended, settle }
}

function describeTurns(fixture: Fixture): void {
  const { store, now, pass } = fixture
  const { claim, claimed, appended, settle } = stepsOf(fixture)

  test('one runs at a time, in the order in which their events were stored', async () => {
    const uids = await appended(4)
    const ran: string[] = []
    for (let work = await claim(); work.length > 0; work = await claim()) {
      expect(work).toMatchObject([{ ordered: true }])
      expect(await claimed()).toEqual([])
      ran.push(...work.map(({ event }) => event.uid))
      pass(10)
      await settle(work)
    }
    expect(ran).toEqual(uids)
  })

  test('events that were appended together run in that order, also among others', async () => {
    const events = Array.from({ length: 90 }, (_, n) => (n % 3 === 0 ? ordered() : newEvent({ handlers: ['b'] })))
    await Promise.all(events.map((event) => store().append(event)))
    for (const { uid, orderKeys } of events) {
      if (orderKeys === undefined) continue
      const work = await claim()
      expect(work.map(({ event }) => event.uid)).toEqual([uid])
      await settle(work)
    }
  })

  test('another key, another handler and events without a key do not wait', async () => {
    await appended(2)
    const [other, ofBoth, none] = [
      ordered({ orderKeys: { a: KEY + 1 } }),
      newEvent({ handlers: ['a', 'b'], orderKeys: { b: KEY } }),
      newEvent(),
    ]
    for (const event of [other, ofBoth, none]) await store().append(event)
    const handlers = ['a', 'b'].map((name) => ({ name, limit: 9 }))
    const work = await claim({ handlers })
    expect(work).toHaveLength(5)
    expect(work.filter(({ ordered }) => ordered !== true).map(({ event }) => event.uid)).toEqual([ofBoth.uid, none.uid])
  })

  test('the next one is due at the time at which the one before it ended', async () => {
    await appended(2)
    const work = await claim()
    pass(5_000)
    await settle(work)
    const due = (await store().deliveries({ state: 'pending' }, { limit: 9 })).items
    expect(due).toMatchObject([{ state: 'pending', dueAtMs: now() }])
    expect(due[0]).not.toHaveProperty('waitsForTurn')
  })

  test('a hundred that wait do not tell a claim when something comes due', async () => {
    await appended(100)
    await claim({ leaseMs: 70_000 })
    expect(await store().claim(claimRequest({ ordered: true }))).toEqual({ work: [], nextDueAtMs: now() + 70_000 })
  })

  test('a claim that does not say that it has ordered handlers leases them too, within some seconds', async () => {
    await claimed({ ordered: false })
    const [first] = await appended(2)
    const soon = await claimed({ ordered: false })
    pass(15_000)
    expect([...soon, ...(await claimed({ ordered: false }))]).toEqual([first])
  })

  test('an offer to lease a delivery with an order key is refused', async () => {
    const event = ordered({ lease: { handlers: ['a'], leaseMs: 1_000 } })
    expect(await codeOf(store().append(event))).toBe('invalid_request')
  })
}

function describeEnds(fixture: Fixture): void {
  const { store, now, pass } = fixture
  const { claim, claimed, appended, settle } = stepsOf(fixture)

  test('one that is to be retried keeps the others waiting, also while its handler may not run', async () => {
    const [first, second] = await appended(2)
    for (const verdict of ['retry', 'released', 'retry'] as const) {
      await settle(await claim(), { verdict, outcome: 'failed', dueAtMs: now() + 1_000 })
      expect(await claimed()).toEqual([])
      pass(1_000)
    }
    const again = await claim()
    expect(again.map(({ event }) => event.uid)).toEqual([first])
    await settle(again)
    expect(await claimed()).toEqual([second])
  })

  test('one that dies does not keep the others waiting', async () => {
    const [, second] = await appended(2)
    await settle(await claim(), { verdict: 'dead', outcome: 'rejected' })
    expect(await claimed()).toEqual([second])
  })

  test('one whose lease ran out comes before the others, and where it was its last attempt they go on', async () => {
    const [first, second, third] = await appended(3)
    await claim({ leaseMs: 100 })
    pass(100)
    expect(await claimed({ leaseMs: 100, maxAttempts: 2 })).toEqual([first])
    pass(100)
    expect(await claimed({ leaseMs: 100, maxAttempts: 2 })).toEqual([second])
    expect((await store().event(first ?? ''))?.deliveries).toMatchObject([{ state: 'dead' }])
    pass(100)
    expect(await claimed({ maxAttempts: 1 })).toEqual([third])
  })

  test('one that has no attempt left lets the others go on', async () => {
    const [first, second] = await appended(2)
    await settle(await claim(), { verdict: 'retry', outcome: 'failed', dueAtMs: now() })
    const uids = [...(await claimed({ maxAttempts: 1 })), ...(await claimed({ maxAttempts: 1 }))]
    expect(uids).toEqual([second])
    expect((await store().event(first ?? ''))?.deliveries).toMatchObject([{ state: 'dead' }])
  })

  test('ends of many keys in one call let the next of each go on', async () => {
    const keys = Array.from({ length: 30 }, (_, key) => key)
    for (let round = 0; round < 2; round++)
      await Promise.all(keys.map((key) => store().append(ordered({ orderKeys: { a: key } }))))
    const first = await claim()
    expect(first).toHaveLength(keys.length)
    await settle(first.toReversed())
    const second = await claim()
    expect(second).toHaveLength(keys.length)
    await settle(second, { verdict: 'dead', outcome: 'failed' })
    expect((await store().counts()).deliveries).toEqual({
      pending: 0,
      running: 0,
      succeeded: 30,
      dead: 30,
      discarded: 0,
    })
  })

  test('a settlement under a lease that is gone lets nothing go on', async () => {
    await appended(2)
    const [work] = await claim({ leaseMs: 100 })
    pass(100)
    const [again] = await claim({ leaseMs: 100 })
    if (work === undefined || again === undefined) throw new Error('nothing was claimed')
    expect(await settle([work])).toEqual([false])
    expect(await claimed()).toEqual([])
    expect(await settle([again])).toEqual([true])
    expect(await claimed()).toHaveLength(1)
  })
}

function describeComingBack(fixture: Fixture): void {
  const { store, pass } = fixture
  const { claim, claimed, appended, settle } = stepsOf(fixture)
  const replay = (eventUid: string, given: Pick<Replay, 'orderKeys'> = { orderKeys: { a: KEY } }) =>
    store().replay({ eventUid, handlers: ['a'], status: 'accepted', reasons: [], ...given })

  test('a dead one that is replayed waits for the one that is open, and then comes before the others', async () => {
    const [first = '', second, third] = await appended(3)
    await settle(await claim(), { verdict: 'dead', outcome: 'failed' })
    const running = await claim()
    expect(running.map(({ event }) => event.uid)).toEqual([second])
    expect((await replay(first)).handlers).toEqual(['a'])
    expect(await claimed()).toEqual([])
    await settle(running)
    const again = await claim()
    expect(again.map(({ event }) => event.uid)).toEqual([first])
    await settle(again)
    expect(await claimed()).toEqual([third])
  })

  test('one that is replayed alone runs at once, and one that waits already stays as it is', async () => {
    const [first = '', second = ''] = await appended(2)
    await settle(await claim())
    await settle(await claim())
    await replay(first)
    expect(await claimed()).toEqual([first])
    expect((await replay(second)).handlers).toEqual(['a'])
    expect(await claimed()).toEqual([])
    expect((await replay(second)).handlers).toEqual([])
    expect((await store().counts()).deliveries).toMatchObject({ pending: 1, running: 1 })
  })

  test('a replay gives a delivery the order key that its handler has now, or takes it away', async () => {
    await appended(1)
    const { uid } = await store().append(newEvent())
    const [running, free] = await claim()
    if (running === undefined || free === undefined) throw new Error('two were to be claimed')
    await settle([free], { verdict: 'dead', outcome: 'failed' })
    await replay(uid)
    expect(await claimed()).toEqual([])
    await settle([running])
    const again = await claim()
    expect(again.map(({ event }) => event.uid)).toEqual([uid])
    await settle(again, { verdict: 'dead', outcome: 'failed' })
    const [later] = await appended(1)
    expect(await claimed()).toEqual([later])
    await replay(uid, {})
    expect(await claimed()).toEqual([uid])
  })

  test('an event that takes over an id comes into the order by the key that it came with', async () => {
    const first = ordered()
    const conflict = { ...first, uid: newUid(), body: Buffer.from('corrected'), orderKeys: { a: KEY } }
    const later = ordered()
    for (const event of [first, conflict, later]) await store().append(event)
    const handlers = [{ name: 'a', types: ['*'] }]
    const routes = { source: 'stripe', accepts: ['*'], handlers }
    await settle(await claim(), { verdict: 'dead', outcome: 'rejected', quarantine: ['no'], routes })
    const order: string[] = []
    for (let work = await claim(); work.length > 0; work = await claim()) {
      expect(work).toHaveLength(1)
      order.push(...work.map(({ event }) => event.uid))
      await settle(work)
    }
    expect(order.toSorted()).toEqual([conflict.uid, later.uid].toSorted())
  })

  test('an event of which a delivery waits for its turn is not old enough to be deleted', async () => {
    const [, waiting = ''] = await appended(2)
    await settle(await claim(), { verdict: 'retry', outcome: 'failed', dueAtMs: fixture.now() + 3_600_000 })
    pass(1_000)
    expect(await pruned(store(), fixture.now())).toBe(0)
    const bounds = { receivedBeforeMs: fixture.now(), deadReceivedBeforeMs: 0 }
    expect((await store().countOld(bounds)).days).toEqual([])
    expect(await store().event(waiting)).toBeDefined()
  })
}

function describeShown(fixture: Fixture): void {
  const { store, now, pass } = fixture
  const { claim, appended } = stepsOf(fixture)

  test('those that wait for their turn are shown as pending, with the time since which they wait', async () => {
    const [, second = ''] = await appended(2)
    await claim()
    pass(500)
    const waiting = { state: 'pending', waitsForTurn: true, attempts: 0, dueAtMs: now() - 500 }
    expect((await store().event(second))?.deliveries).toMatchObject([waiting])
    const pending = await allPages((page) => store().deliveries({ state: 'pending' }, page), 1)
    expect(pending).toMatchObject([waiting])
    expect(await allPages((page) => store().deliveries({}, page), 1)).toHaveLength(2)
    expect(await store().counts()).toMatchObject({
      deliveries: { pending: 1, running: 1, succeeded: 0, dead: 0, discarded: 0 },
      oldestDueAtMs: undefined,
    })
  })

  test('the pending ones are listed newest first, whether they wait or not', async () => {
    const uids: string[] = []
    for (let n = 0; n < 6; n++)
      uids.push((await store().append(n % 2 === 0 ? ordered() : newEvent({ handlers: ['b'] }))).uid)
    await claim({ handlers: [] })
    const items = await allPages((page) => store().deliveries({ state: 'pending' }, page), 2)
    expect(items.map(({ eventUid }) => eventUid)).toEqual(uids.toReversed())
  })
}
