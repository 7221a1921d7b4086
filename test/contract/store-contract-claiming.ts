import { describe, expect, test } from 'vitest'
import type { Work } from '../../src/domain/delivery.ts'
import type { Fixture } from './store-contract.ts'
import { claimOne, claimRequest, newEvent, START_MS, settlement } from './store-samples.ts'

export function describeClaiming(fixture: Fixture): void {
  describeClaim(fixture)
  describeLeases(fixture)
  describeOwnLimits(fixture)
}

function describeOwnLimits({ store, now, pass }: Fixture): void {
  const handlers = ['a', 'b'].map((name) => ({ name, limit: 9 }))
  const statesOf = async () => {
    const { items } = await store().deliveries({}, { limit: 9 })
    return Object.fromEntries(items.map(({ handler, state }) => [handler, state]))
  }

  describe('a handler with limits of its own', () => {
    test('has leases of its own length, shorter or longer than those of the other handlers', async () => {
      await store().append(newEvent({ handlers: ['a', 'b', 'c'] }))
      const ownLimits = [
        { handler: 'a', leaseMs: 2_000 },
        { handler: 'b', leaseMs: 90_000 },
      ]
      const request = { handlers: [...handlers, { name: 'c', limit: 9 }], leaseMs: 30_000, ownLimits }
      const claim = async () => (await store().claim(claimRequest(request))).work.map(({ handler }) => handler)
      expect((await claim()).toSorted()).toEqual(['a', 'b', 'c'])
      expect((await store().claim(claimRequest(request))).nextDueAtMs).toBe(now() + 2_000)
      pass(2_000)
      expect(await claim()).toEqual(['a'])
      pass(28_000)
      expect((await claim()).toSorted()).toEqual(['a', 'c'])
      pass(59_999)
      expect(await claim()).not.toContain('b')
      pass(1)
      expect(await claim()).toContain('b')
    })

    test('has its own number of attempts when a lease runs out, also if the claim does not name it', async () => {
      await store().append(newEvent({ handlers: ['a', 'b', 'c'] }))
      const ownLimits = [
        { handler: 'a', maxAttempts: 1 },
        { handler: 'b', maxAttempts: 2 },
      ]
      const request = { handlers: [...handlers, { name: 'c', limit: 9 }], leaseMs: 1_000, maxAttempts: 1, ownLimits }
      expect((await store().claim(claimRequest(request))).work).toHaveLength(3)
      pass(1_000)
      await store().claim(claimRequest({ ...request, handlers: [] }))
      expect(await statesOf()).toEqual({ a: 'dead', b: 'pending', c: 'dead' })
    })

    test('has its own number of attempts when a claim finds that none is left', async () => {
      await store().append(newEvent({ handlers: ['a', 'b'] }))
      const { work } = await store().claim(claimRequest({ handlers }))
      const retry = { verdict: 'retry', outcome: 'failed', error: 'no', dueAtMs: now() } as const
      await store().settle(work.map((each) => settlement(each, retry)))
      const ownLimits = [{ handler: 'b', maxAttempts: 2 }]
      const next = await store().claim(claimRequest({ handlers, maxAttempts: 1, ownLimits }))
      expect(next.work.map(({ handler, attempt }) => [handler, attempt])).toEqual([['b', 2]])
      expect(await statesOf()).toEqual({ a: 'dead', b: 'running' })
    })
  })
}

function describeClaim({ store, now, pass }: Fixture): void {
  describe('`claim`', () => {
    test('hands out everything that a handler needs and counts the attempt', async () => {
      const event = newEvent({ traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' })
      await store().append(event)
      const work = await claimOne(store())
      expect(work).toMatchObject({ handler: 'a', attempt: 1, isolated: false })
      expect(work.event).toEqual({
        uid: event.uid,
        source: event.source,
        provider: event.provider,
        id: event.id,
        type: event.type,
        receivedAtMs: event.receivedAtMs,
        origin: event.origin,
        headers: event.headers,
        traceparent: event.traceparent,
      })
      expect(Buffer.from(work.body)).toEqual(Buffer.from(event.body))
      expect(work.body.byteLength).toBe(work.body.buffer.byteLength)
      const [delivery] = (await store().deliveries({}, { limit: 1 })).items
      expect(delivery).toMatchObject({ state: 'running', attempts: 1 })
    })

    test('leases no delivery to two callers at once', async () => {
      await Promise.all(Array.from({ length: 60 }, () => store().append(newEvent())))
      const claims = await Promise.all(
        Array.from({ length: 6 }, () => store().claim(claimRequest({ sharedLimit: 20 }))),
      )
      const ids = claims.flatMap(({ work }) => work.map(({ deliveryId }) => deliveryId))
      expect(ids).toHaveLength(60)
      expect(new Set(ids).size).toBe(60)
    })

    test('hands out the oldest due delivery of a handler first', async () => {
      const events = [3, 1, 2].map((age) => newEvent({ receivedAtMs: START_MS - age }))
      for (const event of events) await store().append(event)
      const { work } = await store().claim(claimRequest())
      expect(work.map(({ event }) => event.receivedAtMs - START_MS)).toEqual([-3, -2, -1])
    })

    test('hands out no more than 8 MiB of bodies, but always one delivery', async () => {
      const mebibytes = [3, 3, 3, 9, 1]
      for (const [at, size] of mebibytes.entries())
        await store().append(newEvent({ receivedAtMs: START_MS - 9 + at, body: Buffer.alloc(size * 1_048_576, 'x') }))
      const claimed: number[][] = []
      while (claimed.flat().length < mebibytes.length) {
        const { work } = await store().claim(claimRequest())
        claimed.push(work.map(({ body }) => body.length / 1_048_576))
      }
      expect(claimed).toEqual([[3, 3], [3], [9], [1]])
    })

    test('keeps to the limit of each handler and to the limit of all handlers together', async () => {
      for (let n = 0; n < 4; n++) await store().append(newEvent({ handlers: ['a', 'b'] }))
      const { work } = await store().claim(
        claimRequest({
          handlers: [
            { name: 'a', limit: 1 },
            { name: 'b', limit: 3 },
          ],
        }),
      )
      expect(work.map(({ handler }) => handler).sort()).toEqual(['a', 'b', 'b', 'b'])
      expect((await store().claim(claimRequest({ sharedLimit: 2 }))).work).toHaveLength(2)
      expect((await store().claim(claimRequest({ sharedLimit: 0 }))).work).toHaveLength(0)
    })

    test('does not lease the deliveries of a handler that it does not name', async () => {
      await store().append(newEvent({ handlers: ['b'] }))
      expect((await store().claim(claimRequest())).work).toEqual([])
      expect((await store().claim(claimRequest({ handlers: [] }))).work).toEqual([])
    })

    test('has a limit of its own for deliveries that run isolated', async () => {
      for (let n = 0; n < 3; n++) await store().append(newEvent())
      const { work } = await store().claim(claimRequest({ sharedLimit: 2 }))
      await store().settle(
        work.map((each) => settlement(each, { verdict: 'retry', outcome: 'process_lost', isolate: true })),
      )
      const noneIsolated = await store().claim(claimRequest({ isolatedLimit: 0 }))
      expect(noneIsolated.work.map(({ isolated }) => isolated)).toEqual([false])
      const oneIsolated = await store().claim(claimRequest({ sharedLimit: 0, isolatedLimit: 1 }))
      expect(oneIsolated.work.map(({ isolated, attempt }) => ({ isolated, attempt }))).toEqual([
        { isolated: true, attempt: 2 },
      ])
    })

    test('gives the time when the next delivery or lease of any handler comes due', async () => {
      const claim = () => store().claim(claimRequest({ handlers: [{ name: 'a', limit: 1 }], leaseMs: 9_000 }))
      expect((await claim()).nextDueAtMs).toBeUndefined()
      await store().append(newEvent())
      const first = await claim()
      expect(first.nextDueAtMs).toBe(now() + 9_000)
      await store().append(newEvent({ handlers: ['b'], receivedAtMs: START_MS + 5_000 }))
      expect((await claim()).nextDueAtMs).toBe(START_MS + 5_000)
      await store().settle(
        first.work.map((each) =>
          settlement(each, { verdict: 'retry', outcome: 'failed', dueAtMs: now() + 2_000, error: 'no' }),
        ),
      )
      expect((await claim()).nextDueAtMs).toBe(START_MS + 2_000)
      pass(2_000)
      expect((await claim()).work).toHaveLength(1)
    })

    test('does not hand out a delivery before it is due', async () => {
      await store().append(newEvent({ receivedAtMs: START_MS + 1 }))
      expect((await store().claim(claimRequest())).work).toHaveLength(0)
      pass(1)
      expect((await store().claim(claimRequest())).work).toHaveLength(1)
    })
  })
}

function describeLeases({ store, now, pass }: Fixture): void {
  describe('a lease that has run out', () => {
    test('leaves the attempt in the history as lost, and the delivery pending without the need to run alone', async () => {
      const event = newEvent()
      await store().append(event)
      await claimOne(store(), { leaseMs: 1_000 })
      pass(999)
      expect((await store().claim(claimRequest())).work).toHaveLength(0)
      pass(1)
      const again = await claimOne(store(), { leaseMs: 1_000 })
      expect(again).toMatchObject({ attempt: 2, isolated: false })
      const [delivery] = (await store().event(event.uid))?.deliveries ?? []
      expect(delivery?.history).toEqual([
        expect.objectContaining({ number: 1, outcome: 'lease_lost', startedAtMs: START_MS, durationMs: 1_000 }),
      ])
    })

    const lose = async (): Promise<Work> => {
      const lost = await claimOne(store(), { leaseMs: 1_000 })
      pass(1_000)
      return lost
    }

    test('for the second time in a row leaves a delivery that has to run alone', async () => {
      await store().append(newEvent())
      expect([await lose(), await lose(), await lose()].map(({ isolated }) => isolated)).toEqual([false, false, true])
      expect(await claimOne(store())).toMatchObject({ attempt: 4, isolated: true })
    })

    test('counts as the first again once an attempt has ended, or the event was replayed', async () => {
      const event = newEvent()
      await store().append(event)
      await lose()
      const failed = settlement(await claimOne(store()), {
        verdict: 'retry',
        outcome: 'failed',
        error: 'no',
        dueAtMs: now(),
      })
      await store().settle([failed])
      await lose()
      const dead = await claimOne(store())
      expect(dead.isolated).toBe(false)
      pass(30_000)
      await store().claim(claimRequest({ handlers: [], maxAttempts: 1 }))
      await store().replay({ eventUid: event.uid, handlers: ['a'], status: 'accepted', reasons: [] })
      await lose()
      expect((await claimOne(store())).isolated).toBe(false)
    })

    test('still counts after an attempt that was given back', async () => {
      await store().append(newEvent())
      await lose()
      const given = { verdict: 'released', outcome: 'released', dueAtMs: now() } as const
      await store().settle([settlement(await claimOne(store()), given)])
      await lose()
      expect((await claimOne(store())).isolated).toBe(true)
    })

    test('leaves a delivery that already had to run alone as one that has to run alone', async () => {
      await store().append(newEvent())
      const given = { verdict: 'retry', outcome: 'process_lost', isolate: true, error: 'gone', dueAtMs: now() } as const
      await store().settle([settlement(await claimOne(store()), given)])
      await lose()
      expect((await claimOne(store())).isolated).toBe(true)
    })

    test('leaves the delivery dead where no attempt is left', async () => {
      await store().append(newEvent())
      await claimOne(store(), { leaseMs: 1_000, maxAttempts: 1 })
      pass(1_000)
      expect(await store().claim(claimRequest({ maxAttempts: 1 }))).toEqual({ work: [], nextDueAtMs: undefined })
      const [dead] = (await store().deliveries({ state: 'dead' }, { limit: 1 })).items
      expect(dead).toMatchObject({ attempts: 1, dueAtMs: now(), lastError: expect.any(String) })
    })

    test('is reclaimed by a claim that does not name its handler', async () => {
      await store().append(newEvent())
      await claimOne(store(), { leaseMs: 1_000 })
      pass(1_000)
      await store().claim(claimRequest({ handlers: [] }))
      expect((await store().deliveries({}, { limit: 1 })).items[0]?.state).toBe('pending')
    })

    test('cannot settle its delivery any more', async () => {
      await store().append(newEvent())
      const lost = await claimOne(store(), { leaseMs: 1_000 })
      pass(1_000)
      const again = await claimOne(store())
      expect(await store().settle([settlement(lost)])).toEqual([false])
      expect(await store().settle([settlement(again)])).toEqual([true])
    })

    test('does not keep a claim from marking due deliveries without an attempt left as dead', async () => {
      const event = newEvent()
      await store().append(event)
      await store().append(newEvent())
      const [first] = (await store().claim(claimRequest({ sharedLimit: 1 }))).work
      if (first === undefined) throw new Error('nothing was claimed')
      await store().settle([settlement(first, { verdict: 'retry', outcome: 'failed', dueAtMs: now() - 1 })])
      const { work } = await store().claim(claimRequest({ sharedLimit: 1, maxAttempts: 1 }))
      expect(work.map(({ attempt }) => attempt)).toEqual([1])
      expect((await store().deliveries({ state: 'dead' }, { limit: 5 })).items).toHaveLength(1)
    })
  })
}
