import { describe, expect, test } from 'vitest'
import { newUid } from '../../src/domain/names.ts'
import { HELD_MS } from '../../src/domain/pause.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, claimRequest, newEvent, START_MS, settlement } from './store-samples.ts'

export function describePauses({ store, now, pass }: Fixture): void {
  const pauseSource = (name = 'stripe') => store().pauses.pause({ kind: 'source', name, by: 'alice' })
  const held = (work: { deliveryId: number; lease: string }, heldFor = 'stripe') =>
    settlement(work, { verdict: 'held', outcome: 'released', heldFor, dueAtMs: now() + HELD_MS })
  const holdAll = async () => {
    const { work } = await store().claim(claimRequest())
    await store().settle(work.map((each) => held(each, each.event.source)))
    return work.map(({ event }) => event.uid)
  }
  const claimed = async () => (await store().claim(claimRequest({ ordered: true }))).work.map(({ event }) => event.uid)
  const append = async (given: Parameters<typeof newEvent>[0] = {}) => (await store().append(newEvent(given))).uid

  describe('pauses', () => {
    test('are listed in order, with who, since and why, until they are resumed', async () => {
      const { pauses } = store()
      const first = await pauses.pause({ kind: 'handler', name: 'a', by: 'alice', reason: 'the API is down' })
      expect(first).toEqual({ kind: 'handler', name: 'a', by: 'alice', reason: 'the API is down', sinceMs: START_MS })
      pass(5)
      const second = await pauses.pause({ kind: 'source', name: 'a', by: 'ünï' })
      expect(await pauses.list()).toEqual([first, second])
      expect(second).toEqual({ kind: 'source', name: 'a', by: 'ünï', sinceMs: START_MS + 5 })
      expect(await pauses.resume('handler', 'a')).toEqual(first)
      expect(await pauses.resume('handler', 'a')).toBeUndefined()
      expect(await pauses.list()).toEqual([second])
    })

    test('stay as they began if they are asked for again, except for a new reason', async () => {
      const { pauses } = store()
      const first = await pauses.pause({ kind: 'handler', name: 'a', by: 'alice', reason: 'one' })
      pass(5)
      expect(await pauses.pause({ kind: 'handler', name: 'a', by: 'bob' })).toEqual(first)
      expect(await pauses.pause({ kind: 'handler', name: 'a', by: 'bob', reason: 'two' })).toEqual({
        ...first,
        reason: 'two',
      })
    })
  })

  test('a delivery of a paused handler does not count as due, and does again after the resume', async () => {
    await store().append(newEvent({ receivedAtMs: START_MS - 70, handlers: ['paused'] }))
    await store().append(newEvent({ receivedAtMs: START_MS - 30, handlers: ['other'] }))
    const oldest = async () => (await store().counts()).oldestDueAtMs
    // A store may answer from a cache of a few seconds.
    const expectOldest = (atMs: number) => expect.poll(oldest, { timeout: 5_000 }).toBe(atMs)
    await expectOldest(START_MS - 70)
    await store().pauses.pause({ kind: 'handler', name: 'paused', by: 'alice' })
    await expectOldest(START_MS - 30)
    await store().pauses.resume('handler', 'paused')
    await expectOldest(START_MS - 70)
  })

  test('`waiting` tells of each handler how many deliveries wait, in their turn too, and since when the oldest has been due', async () => {
    const orderKeys = { ordered: 7 }
    await append({ receivedAtMs: START_MS - 70, handlers: ['busy', 'ordered'], orderKeys })
    await append({ receivedAtMs: START_MS - 30, handlers: ['busy', 'ordered'], orderKeys })
    await append({ receivedAtMs: START_MS - 20, handlers: ['later'] })
    const { work } = await store().claim(claimRequest({ handlers: [{ name: 'later', limit: 1 }] }))
    await store().settle(work.map((each) => settlement(each, { verdict: 'retry', dueAtMs: now() + 60_000 })))
    await store().pauses.pause({ kind: 'handler', name: 'busy', by: 'alice' })
    const one = (count: number) => ({ count, more: false })
    expect(await store().facets.waiting(['idle', 'ordered', 'busy', 'later'])).toEqual([
      { handler: 'idle', pending: one(0), dueSinceMs: undefined },
      { handler: 'ordered', pending: one(2), dueSinceMs: START_MS - 70 },
      { handler: 'busy', pending: one(2), dueSinceMs: START_MS - 70 },
      { handler: 'later', pending: one(1), dueSinceMs: undefined },
    ])
  })

  test('`waiting` does not give a count that leaves some out as the whole', async () => {
    const handlers = ['ordered']
    for (let key = 0; key < 10; key++) {
      const events = Array.from({ length: 101 }, () => newEvent({ handlers, orderKeys: { ordered: key } }))
      await Promise.all(events.map((event) => store().append(event)))
    }
    const { work } = await store().claim(claimRequest({ ordered: true, handlers: [{ name: 'ordered', limit: 10 }] }))
    expect(work).not.toEqual([])
    const [waiting] = await store().facets.waiting(handlers)
    expect(waiting?.pending.more).toBe(true)
  })

  test('`retrying` tells of each handler how many deliveries have failed and wait for another attempt, and since when the oldest', async () => {
    expect(await store().facets.retrying()).toEqual([])
    await append({ receivedAtMs: START_MS - 90, handlers: ['untried'] })
    await append({ receivedAtMs: START_MS - 70, handlers: ['fails', 'works'] })
    await append({ receivedAtMs: START_MS - 30, handlers: ['fails', 'works'] })
    const { work } = await store().claim(
      claimRequest({
        handlers: [
          { name: 'fails', limit: 2 },
          { name: 'works', limit: 1 },
        ],
      }),
    )
    const retry = { verdict: 'retry', dueAtMs: now() + 60_000 } as const
    await store().settle(work.map((each) => settlement(each, each.handler === 'fails' ? retry : {})))
    expect(await store().facets.retrying()).toEqual([
      { handler: 'fails', count: 2, more: false, oldestReceivedAtMs: START_MS - 70 },
    ])
  })

  test('`counts` names the handlers with pending deliveries that are not among those that run', async () => {
    await append({ receivedAtMs: START_MS - 30, handlers: ['renamed', 'runs', 'gone'] })
    expect(await store().counts()).not.toHaveProperty('unserved')
    expect((await store().counts(['runs', 'idle'])).unserved).toEqual(['gone', 'renamed'])
    const { work } = await store().claim(claimRequest({ handlers: [{ name: 'gone', limit: 1 }] }))
    await store().settle(work.map((each) => settlement(each)))
    expect((await store().counts(['runs'])).unserved).toEqual(['renamed'])
  })

  describe('a delivery that is settled as held', () => {
    test('is pending as before its claim: no attempt is counted or recorded, and its last error stays', async () => {
      const uid = await append()
      const failed = { verdict: 'retry', outcome: 'process_lost', error: 'no', isolate: true } as const
      await store().settle([settlement(await claimOne(store()), failed)])
      const before = await store().event(uid)
      await pauseSource()
      expect(await holdAll()).toEqual([uid])
      const dueAtMs = now() + HELD_MS
      expect((await store().event(uid))?.deliveries).toEqual(before?.deliveries.map((each) => ({ ...each, dueAtMs })))
      await store().pauses.resume('source', 'stripe')
      await store().pauses.releaseHeld(10)
      expect(await claimOne(store())).toMatchObject({ attempt: 2, isolated: true })
    })

    test('is not claimed until its source is resumed and it is released', async () => {
      const uid = await append()
      await pauseSource()
      await holdAll()
      pass(60_000)
      expect(await store().pauses.releaseHeld(10)).toBe(0)
      expect(await claimed()).toEqual([])
      await store().pauses.resume('source', 'stripe')
      expect(await claimed()).toEqual([])
      expect(await store().pauses.releaseHeld(10)).toBe(1)
      expect(await claimed()).toEqual([uid])
      expect(await store().pauses.releaseHeld(10)).toBe(0)
    })

    test('is due at once if its source was resumed before it was settled', async () => {
      const uid = await append()
      expect(await holdAll()).toEqual([uid])
      expect(await claimed()).toEqual([uid])
    })

    test('takes no effect without its lease, and is settled beside others in one call', async () => {
      await append()
      await append()
      await pauseSource()
      const { work } = await store().claim(claimRequest())
      const [one, two] = work
      if (one === undefined || two === undefined) throw new Error('two were expected')
      expect(await store().settle([held({ ...one, lease: newUid() }), settlement(two), held(one)])).toEqual([
        false,
        true,
        true,
      ])
      await expect
        .poll(() => store().counts(), { timeout: 5_000 })
        .toMatchObject({ deliveries: { pending: 1, running: 0, succeeded: 1 } })
    })

    test.each([
      ['before', 'pending'],
      ['after', 'succeeded'],
    ] as const)('%s another end under its lease in one call, is %s: the first counts', async (place, state) => {
      const uid = await append()
      await pauseSource()
      const one = await claimOne(store())
      const ends = [held(one), settlement(one)]
      expect(await store().settle(place === 'before' ? ends : ends.toReversed())).toEqual([true, false])
      expect((await store().event(uid))?.deliveries).toMatchObject([{ state }])
    })

    test('remains the head of its order key: those behind it wait with it', async () => {
      const orderKeys = { a: 7 }
      const uids = [await append({ orderKeys }), await append({ orderKeys })]
      await pauseSource()
      await store().claim(claimRequest({ handlers: [], ordered: true }))
      expect(await holdAll()).toEqual([uids[0]])
      expect(await claimed()).toEqual([])
      await store().pauses.resume('source', 'stripe')
      await store().pauses.releaseHeld(10)
      const first = await claimOne(store(), { ordered: true })
      expect(first.event.uid).toBe(uids[0])
      await store().settle([settlement(first, { ordered: true })])
      expect(await claimed()).toEqual([uids[1]])
    })

    test('keeps its due time when times that lie too far ahead are repaired', async () => {
      await append()
      await pauseSource()
      await holdAll()
      const waits = { retryMs: 1_000, retryAfterMs: 1_000, pollMs: 1_000, leaseMs: 1_000, isTrusted: true }
      expect((await store().repairTimes(waits)).deliveries).toBe(0)
      expect(await claimed()).toEqual([])
    })
  })

  test('`releaseHeld` makes deliveries due in order of key, a bounded number of one source at a time, and none of a source that is paused', async () => {
    const uids = [await append(), await append(), await append()]
    const other = await append({ source: 'eu' })
    await pauseSource()
    await pauseSource('eu')
    await holdAll()
    await store().pauses.resume('source', 'stripe')
    expect(await store().pauses.releaseHeld(2)).toBe(2)
    expect(await claimed()).toEqual(uids.slice(0, 2))
    expect(await store().pauses.releaseHeld(2)).toBe(1)
    expect(await store().pauses.releaseHeld(2)).toBe(0)
    expect(await claimed()).toEqual(uids.slice(2))
    await store().pauses.resume('source', 'eu')
    expect(await store().pauses.releaseHeld(2)).toBe(1)
    expect(await claimed()).toEqual([other])
  })

  test('`releaseHeld` goes on batch after batch until none is left, and finds one that is held meanwhile', async () => {
    const uids = await Promise.all(Array.from({ length: 250 }, () => append()))
    await pauseSource()
    const { work } = await store().claim(claimRequest({ handlers: [{ name: 'a', limit: 250 }], sharedLimit: 250 }))
    const [last, ...others] = work
    await store().settle(others.map((each) => held(each)))
    await store().pauses.resume('source', 'stripe')
    expect(await store().pauses.releaseHeld(100)).toBe(100)
    await pauseSource()
    expect(await store().pauses.releaseHeld(100)).toBe(0)
    if (last !== undefined) await store().settle([held(last)])
    await store().pauses.resume('source', 'stripe')
    expect([await store().pauses.releaseHeld(100), await store().pauses.releaseHeld(100)]).toEqual([100, 50])
    expect(await store().pauses.releaseHeld(100)).toBe(0)
    const again = await store().claim(claimRequest({ handlers: [{ name: 'a', limit: 250 }], sharedLimit: 250 }))
    expect(new Set(again.work.map(({ event }) => event.uid))).toEqual(new Set(uids))
  })
}
