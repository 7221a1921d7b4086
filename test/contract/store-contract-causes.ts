import { describe, expect, test } from 'vitest'
import { type AttemptCause, MAX_CAUSES, MAX_CAUSES_OF_HANDLER, OTHER_CAUSES } from '../../src/domain/cause.ts'
import { type DeadPosition, HOURS_SHOWN } from '../../src/domain/dead-letters.ts'
import type { Settlement } from '../../src/domain/delivery.ts'
import type { Fixture } from './store-contract.ts'
import { allPages, claimRequest, discarded, newEvent, settlement } from './store-samples.ts'

const HOUR_MS = 3_600_000
const DEAD = { verdict: 'dead', outcome: 'failed', error: 'no' } as const

const cause = (id: string, given: Partial<AttemptCause> = {}): AttemptCause => ({
  id,
  signature: `no ${id}`,
  at: 'a.ts:1',
  handler: 'a',
  source: 'stripe',
  ...given,
})

/** One death of each cause. */
async function endEach({ store, now }: Fixture, causes: readonly AttemptCause[]): Promise<void> {
  for (let at = 0; at < causes.length; at += 500) {
    const some = causes.slice(at, at + 500)
    await Promise.all(some.map(() => store().append(newEvent())))
    const limits = { handlers: [{ name: 'a', limit: 500 }], sharedLimit: 500 }
    const { work } = await store().claim(claimRequest(limits))
    expect(work).toHaveLength(some.length)
    const deaths = some.map((each) => ({ ...DEAD, dueAtMs: now(), cause: each }))
    await store().settle(work.map((each, n) => settlement(each, deaths[n])))
  }
}

/** What takes long: of thousands of causes. */
export function describeManyCauses(fixture: Fixture): void {
  test('a cause past the bound is one for all further ones of a handler and source', { timeout: 60_000 }, async () => {
    await endEach(
      fixture,
      Array.from({ length: MAX_CAUSES + 3 }, (_, at) => cause(`c${at}`, { handler: `h${at % 100}` })),
    )
    const { causes } = await fixture.store().deadCauses({})
    expect(causes).toHaveLength(MAX_CAUSES + 3)
    const { id, signature } = OTHER_CAUSES
    const others = causes.filter((each) => each.id === id)
    expect(others).toMatchObject(['h0', 'h1', 'h2'].map((handler) => ({ signature, handler, count: 1 })))
  })
}

/** Why deliveries died. */
export function describeCauses(fixture: Fixture): void {
  const { store, now, pass } = fixture
  async function end(given: Partial<Settlement>, count = 1): Promise<readonly string[]> {
    const events = Array.from({ length: count }, () => newEvent({ receivedAtMs: now() }))
    await Promise.all(events.map((event) => store().append(event)))
    const { work } = await store().claim(claimRequest())
    await store().settle(work.map((each) => settlement(each, { dueAtMs: now(), ...given })))
    return events.map(({ uid }) => uid)
  }
  const deliveryOf = async (uid: string) => (await store().event(uid))?.deliveries[0]

  describe('`settle`', () => {
    test('keeps the cause of a failed attempt with it, and that of a death with the delivery', async () => {
      const [uid = ''] = await end({ verdict: 'retry', outcome: 'failed', error: 'no', cause: cause('c1') })
      expect(await deliveryOf(uid)).toMatchObject({ state: 'pending', history: [{ cause: 'c1' }] })
      expect(await deliveryOf(uid)).not.toHaveProperty('cause')
      const { work } = await store().claim(claimRequest())
      const detail = { name: 'Error', message: 'no' }
      await store().settle(work.map((each) => settlement(each, { ...DEAD, detail, cause: cause('c2') })))
      expect(await deliveryOf(uid)).toMatchObject({
        state: 'dead',
        cause: 'c2',
        history: [{ cause: 'c1' }, { cause: 'c2', errorDetail: detail }],
      })
      await store().replay({ eventUid: uid, handlers: ['a'], status: 'accepted', reasons: [] })
      expect(await deliveryOf(uid)).not.toHaveProperty('cause')
    })
  })

  describe('`deadCauses`', () => {
    test('tells of each cause, handler and source how many died of it, when, and in which hour', async () => {
      await end({ ...DEAD, cause: cause('c1') })
      const firstAtMs = now()
      pass(30 * HOUR_MS)
      await end({ ...DEAD, cause: cause('c1') }, 2)
      await end({ ...DEAD, cause: cause('c2', { source: 'eu' }) })
      pass(2 * HOUR_MS)
      await end({ ...DEAD, cause: cause('c1') })
      const hourly = Array.from({ length: HOURS_SHOWN }, () => 0)
      const { causes, unnamed } = await store().deadCauses({})
      expect(unnamed).toBe(0)
      const { handler, ...rest } = cause('c1')
      expect(causes).toEqual([
        {
          ...rest,
          handler,
          count: 4,
          isCapped: false,
          firstAtMs,
          lastAtMs: now(),
          hourly: hourly.with(HOURS_SHOWN - 1, 1).with(HOURS_SHOWN - 2, 2),
        },
        {
          ...cause('c2', { source: 'eu' }),
          count: 1,
          isCapped: false,
          firstAtMs: now() - 2 * HOUR_MS,
          lastAtMs: now() - 2 * HOUR_MS,
          hourly: hourly.with(HOURS_SHOWN - 2, 1),
        },
      ])
    })

    test('filters by handler, source, cause and the time of death', async () => {
      await end({ ...DEAD, cause: cause('c1') })
      await end({ ...DEAD, cause: cause('c1', { source: 'eu' }) })
      pass(1_000)
      await end({ ...DEAD, cause: cause('c2') })
      const found = async (filter: Parameters<ReturnType<typeof store>['deadCauses']>[0]) =>
        (await store().deadCauses(filter)).causes.map(({ id, source }) => `${id} ${source}`).toSorted()
      expect(await found({})).toEqual(['c1 eu', 'c1 stripe', 'c2 stripe'])
      expect(await found({ cause: 'c1' })).toEqual(['c1 eu', 'c1 stripe'])
      expect(await found({ source: 'eu', handler: 'a' })).toEqual(['c1 eu'])
      expect(await found({ handler: 'other' })).toEqual([])
      expect(await found({ sinceMs: now() })).toEqual(['c2 stripe'])
      expect(await found({ untilMs: now() })).toEqual(['c1 eu', 'c1 stripe'])
    })

    test('does not count what was discarded or replayed', async () => {
      const [first = '', second = ''] = await end({ ...DEAD, cause: cause('c1') }, 3)
      await store().discardOf(first)
      await store().replay({ eventUid: second, handlers: ['a'], status: 'accepted', reasons: [] })
      expect((await store().deadCauses({})).causes).toMatchObject([{ id: 'c1', count: 1 }])
      expect(await deliveryOf(first)).toMatchObject({ state: 'discarded', cause: 'c1' })
    })
  })

  describe('a cause', () => {
    test('is a filter of deliveries and of discards, over all handlers and sources', async () => {
      const first = await end({ ...DEAD, cause: cause('c1') }, 3)
      const second = await end({ ...DEAD, cause: cause('c1', { source: 'eu' }) }, 2)
      await end({ ...DEAD, cause: cause('c2') })
      const dead = await allPages((page) => store().deliveries({ state: 'dead', cause: 'c1' }, page), 2)
      expect(dead.map(({ eventUid }) => eventUid).toSorted()).toEqual([...first, ...second].toSorted())
      expect(dead.every((each) => each.cause === 'c1')).toBe(true)
      expect(await store().matchDead({ cause: 'c1' }, 1)).toMatchObject({ count: 5, more: false })
      expect(await store().matchDead({ cause: 'c1' }, 1, 2)).toMatchObject({ count: 2, more: true })
      expect(await discarded(store(), { cause: 'c1' }, 2)).toBe(5)
      expect(await discarded(store(), { cause: 'other' })).toBe(0)
      const listed = await allPages((page) => store().deliveries({ cause: 'c1' }, page), 2)
      expect(listed.map(({ state }) => state)).toEqual(Array.from({ length: 5 }, () => 'discarded'))
      expect((await store().deadCauses({})).causes).toMatchObject([{ id: 'c2', count: 1 }])
    })

    test('past the bound of one handler leaves room for those of others', async () => {
      await endEach(
        fixture,
        Array.from({ length: MAX_CAUSES_OF_HANDLER + 3 }, (_, at) => cause(`c${at}`)),
      )
      await endEach(fixture, [cause('mine', { handler: 'b' })])
      const { causes } = await store().deadCauses({})
      expect(causes.at(-1)).toMatchObject({ id: OTHER_CAUSES.id, handler: 'a', count: 3 })
      expect(causes).toHaveLength(MAX_CAUSES_OF_HANDLER + 2)
      expect(causes.find(({ handler }) => handler === 'b')).toMatchObject({ id: 'mine', count: 1 })
    })
  })

  describe('`nameCauses`', () => {
    test('gives each dead delivery without a cause that of its last error', async () => {
      const detail = { name: 'Error', message: 'no', stack: ['at f (/h/a.ts:7:1)'] }
      await end({ ...DEAD, detail }, 5)
      const [lost = ''] = await end({ verdict: 'retry', outcome: 'failed', error: 'early', detail, dueAtMs: now() })
      await store().claim(claimRequest({ leaseMs: 10 }))
      pass(20)
      await store().claim(claimRequest({ maxAttempts: 2 }))
      expect(await store().deadCauses({})).toMatchObject({ causes: [], unnamed: 6 })
      const seen: unknown[] = []
      let named = 0
      let from: DeadPosition | undefined
      do {
        const step = await store().nameCauses({
          limit: 4,
          causeOf: (error, given) => {
            seen.push([error, given])
            return { id: `of ${error}`, signature: error }
          },
          ...(from !== undefined && { from }),
        })
        named += step.named
        from = step.next
      } while (from !== undefined)
      expect(named).toBe(6)
      expect(seen).toHaveLength(6)
      expect(seen[5]).toEqual(['no', detail])
      const { causes, unnamed } = await store().deadCauses({})
      expect(unnamed).toBe(0)
      expect(causes).toMatchObject([
        { id: 'of no', count: 5, handler: 'a', source: 'stripe' },
        { id: 'of what ran it went away before it ended', count: 1 },
      ])
      expect(await deliveryOf(lost)).toMatchObject({ cause: 'of what ran it went away before it ended' })
    })
  })

  describe('`pruneCauses`', () => {
    test('forgets causes that are old and have no dead delivery', async () => {
      const old = await end({ ...DEAD, cause: cause('c1') })
      await end({ ...DEAD, cause: cause('c2') })
      pass(1_000)
      await end({ ...DEAD, cause: cause('c3') })
      for (const uid of old) await store().discardOf(uid)
      expect(await store().pruneCauses(now())).toBe(1)
      expect(await store().pruneCauses(now())).toBe(0)
      expect((await store().deadCauses({})).causes.map(({ id }) => id).toSorted()).toEqual(['c2', 'c3'])
      for (const uid of old) expect(await deliveryOf(uid)).not.toHaveProperty('cause')
    })
  })
}
