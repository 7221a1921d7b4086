import pino from 'pino'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { RateLimit } from '../../src/domain/handler-policy.ts'
import { joinReplicas, type RoutedHandlers } from '../../src/replicas/membership.ts'
import { eventually } from '../support/eventually.ts'
import { openReplica } from '../support/postgres/replica.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { startDispatcher } from './start-dispatcher.ts'

/** Handler processes give the start of an attempt in whole milliseconds. */
const ROUNDING_MS = 1

type Started = Pick<Awaited<ReturnType<typeof startDispatcher>>, 'starts'>

/** When so many attempts of the handler began, over all dispatchers, in order. */
const startsOf = async (
  dispatchers: readonly Started[],
  handler: string,
  count: number,
): Promise<readonly number[]> => {
  const all = async () => dispatchers.flatMap(({ starts }) => starts.get(handler) ?? [])
  return (await eventually(all, ({ length }) => length >= count, 30_000)).toSorted((a, b) => a - b)
}

/** Says that each start came no sooner than a period after the one that is `limit` places before it. */
function expectWithin({ limit, perMs }: RateLimit, starts: readonly number[]): void {
  const distances = starts.slice(limit).map((ms, at) => ms - (starts[at] ?? 0))
  expect(Math.min(...distances)).toBeGreaterThanOrEqual(perMs - ROUNDING_MS)
}

describe('a handler with a rate', () => {
  // A period has to outlast an attempt, also where its process is slow to begin it: when that was is known at its end.
  const rates = { ok: { limit: 4, perMs: 500 }, throw: { limit: 2, perMs: 400 } }
  let shared: Awaited<ReturnType<typeof startDispatcher>>
  beforeAll(async () => {
    const policies = { ok: { rate: rates.ok }, throw: { rate: rates.throw } }
    shared = await startDispatcher({ maxAttempts: 3, policies, maxIdleMs: () => 60_000 }, afterAll)
  })

  test('starts no more attempts in any period than it allows, at once as events are stored or later', async () => {
    await Promise.all(Array.from({ length: 7 }, () => shared.keep(['ok', 'later'])))
    for (let n = 0; n < 7; n++) await shared.append(['ok'])
    const starts = await startsOf([shared], 'ok', 14)
    expect(starts).toHaveLength(14)
    expectWithin(rates.ok, starts)
    // One or two for each start and each event, not one for each moment.
    expect(shared.claims.length).toBeLessThan(80)
  })

  test('keeps no other handler waiting while its own deliveries wait, and causes no claims', async () => {
    const policies = { raw: { rate: { limit: 1, perMs: 600_000 } } }
    const { keep, append, ended, store, claims } = await startDispatcher({ policies, maxIdleMs: () => 60_000 })
    const [first] = [await append(['raw']), await append(['raw']), await append(['raw'])]
    await eventually(
      () => store.event(first),
      (event) => event?.deliveries[0]?.history.length === 1,
    )
    for (let n = 0; n < 10; n++)
      expect(await ended((await keep(['ok'])).uid)).toMatchObject([{ state: 'succeeded', attempts: 1 }])
    // The first attempt has failed, and its retry would be the next start.
    const waiting = 3
    expect((await store.counts()).deliveries).toMatchObject({ pending: waiting, running: 0 })
    const before = claims.length
    for (let n = 0; n < 10; n++) await keep(['raw'])
    expect(claims.length).toBe(before)
    expect((await store.counts()).deliveries).toMatchObject({ pending: waiting + 10, running: 0 })
  })

  test('starts its retries within the rate too', async () => {
    for (let n = 0; n < 3; n++) await shared.append(['throw'])
    const starts = await startsOf([shared], 'throw', 9)
    expect(starts).toHaveLength(9)
    expectWithin(rates.throw, starts)
  })

  test('starts what waits for its rate also if a claim that found nothing held the thread up as that time came', async () => {
    const rate = { limit: 1, perMs: 500 }
    let holdsUp = false
    const { keep, ended, dispatcher, starts } = await startDispatcher({
      policies: { ok: { rate } },
      maxIdleMs: () => 60_000,
      onAnswer: (leased) => {
        if (!holdsUp || leased > 0) return
        holdsUp = false
        for (const untilMs = performance.now() + 2 * rate.perMs; performance.now() < untilMs; );
      },
    })
    await ended((await keep(['ok'])).uid)
    await keep(['ok'])
    holdsUp = true
    dispatcher.wake(['later'])
    expectWithin(rate, await startsOf([{ starts }], 'ok', 2))
    expect(holdsUp).toBe(false)
  })

  test.each([
    [1, ['ok']],
    [2, ['ok']],
    [1, undefined],
    [2, undefined],
  ])(
    'starts what waits for its rate also if that time comes after look %i of the dispatcher at the clock, woken for %o',
    async (look, woken) => {
      const rate = { limit: 1, perMs: 600_000 }
      let [aheadMs, looks] = [0, Number.POSITIVE_INFINITY]
      const monotonicMs = () => {
        const nowMs = performance.now() + aheadMs
        if (--looks === 0) aheadMs = rate.perMs
        return nowMs
      }
      const options = { policies: { ok: { rate } }, maxIdleMs: () => 60_000, monotonicMs }
      const { append, keep, ended, dispatcher } = await startDispatcher(options)
      await ended((await keep(['ok'])).uid)
      const uid = await append(['ok'], {}, false)
      looks = look
      dispatcher.wake(woken)
      expect(await ended(uid)).toMatchObject([{ state: 'succeeded' }])
    },
  )
})

describe('replicas that share a database', () => {
  /** Workers on one database, each of which knows all others. */
  async function startWorkers(count: number, rates: Readonly<Record<string, RateLimit>>) {
    const url = ownSchema()
    const own = Object.entries(rates).map(([name, rate]) => ({ name, types: ['*'], rate }))
    const policies = Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, { rate }]))
    const workers = await Promise.all(
      Array.from({ length: count }, async () => {
        const store = await openReplica(url)
        const registry = store.replicas ?? expect.unreachable()
        const routed = await joinReplicas({ registry, own, log: pino({ level: 'silent' }), refreshMs: 20 })
        onTestFinished(() => routed.leave())
        return { store, routed }
      }),
    )
    const countOf = ({ rateShareOf }: RoutedHandlers): number => rateShareOf(own[0]?.name ?? '').count
    const know = async () => workers.map(({ routed }) => countOf(routed))
    await eventually(know, (counts) => counts.every((each) => each === count))
    return Promise.all(
      workers.map(async ({ store, routed: { rateShareOf, leave } }) => ({
        ...(await startDispatcher({ store, policies, rateShareOf, maxIdleMs: () => 50 })),
        leave,
        share: rateShareOf(own[0]?.name ?? ''),
      })),
    )
  }

  test('start no more attempts together than the rate of a handler allows, also if it is less than one for each of them, and take over the share of one that has left', async () => {
    const rates = { ok: { limit: 5, perMs: 500 }, wait: { limit: 1, perMs: 200 } }
    const workers = await startWorkers(2, rates)
    for (let n = 0; n < 16; n++) await workers[n % 2]?.keep(['ok'])
    for (let n = 0; n < 4; n++) await workers[n % 2]?.keep(['wait'], { ms: 0 })
    expectWithin(rates.ok, await startsOf(workers, 'ok', 16))
    expectWithin(rates.wait, await startsOf(workers, 'wait', 4))

    // The rate of `wait` is too low to be shared: the first one has all of it.
    const [first, second] = workers.toSorted((a, b) => a.share.place - b.share.place)
    if (first === undefined || second === undefined) return expect.unreachable()
    await first.leave()
    await first.dispatcher.stop(0, 0)
    const before = second.starts.get('wait')?.length ?? 0
    for (let n = 0; n < 4; n++) await second.keep(['wait'], { ms: 0 })
    const starts = await startsOf([second], 'wait', before + 4)
    expectWithin(rates.wait, starts.slice(-4))
  })
})
