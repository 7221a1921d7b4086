import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { RateLimit } from '../../src/domain/handler-policy.ts'
import { joinReplicas, type RoutedHandlers } from '../../src/replicas/membership.ts'
import { eventually } from '../support/eventually.ts'
import { openReplica } from '../support/postgres/replica.ts'
import { ownSchema } from '../support/postgres/schema.ts'
import { temporaryDirectory } from '../support/service.ts'
import { startDispatcher } from './start-dispatcher.ts'

/** Handlers write whole milliseconds. */
const ROUNDING_MS = 1

/** When the handlers `clock` and `watch` began with events whose data name the file, in order. */
function clockFile() {
  const file = join(temporaryDirectory(), 'starts')
  writeFileSync(file, '')
  const read = async () => readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number)
  const starts = async (count: number): Promise<readonly number[]> =>
    (await eventually(read, ({ length }) => length >= count, 30_000)).toSorted((a, b) => a - b)
  return { data: { file }, starts }
}

/** How long each run of one start more than the limit took: no less than the period, if the rate was kept. */
const shortestMs = (starts: readonly number[], { limit }: RateLimit): number =>
  Math.min(...starts.slice(limit).map((ms, at) => ms - (starts[at] ?? 0)))

describe('a handler with a rate', () => {
  test('starts no more attempts in any period than it allows, at once as events are stored or later, and others do not wait', async () => {
    const rate = { limit: 4, perMs: 400 }
    const { data, starts } = clockFile()
    const { keep, append, ended, claims } = await startDispatcher({
      policies: { clock: { rate } },
      maxIdleMs: () => 60_000,
    })
    await Promise.all(Array.from({ length: 7 }, () => keep(['clock', 'later'], data)))
    for (let n = 0; n < 7; n++) await append(['clock'], data)
    const beganMs = Date.now()
    for (let n = 0; n < 5; n++) expect(await ended((await keep(['ok'])).uid)).toMatchObject([{ state: 'succeeded' }])
    expect(Date.now() - beganMs).toBeLessThan(3 * rate.perMs)
    expect(shortestMs(await starts(14), rate)).toBeGreaterThanOrEqual(rate.perMs - ROUNDING_MS)
    // One or two for each start and each event, not one for each moment.
    expect(claims.length).toBeLessThan(80)
  })

  test('starts its retries within the rate too', async () => {
    const rate = { limit: 2, perMs: 150 }
    const { append, ended } = await startDispatcher({ maxAttempts: 3, policies: { throw: { rate } } })
    const uids = await Promise.all([1, 2, 3].map(() => append(['throw'])))
    const deliveries = (await Promise.all(uids.map(ended))).flat()
    const starts = deliveries.flatMap(({ history }) => history.map(({ startedAtMs }) => startedAtMs))
    expect(starts).toHaveLength(9)
    expect(
      shortestMs(
        starts.toSorted((a, b) => a - b),
        rate,
      ),
    ).toBeGreaterThanOrEqual(rate.perMs - ROUNDING_MS)
  })
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
        const log = pino({ level: 'silent' })
        const routed = await joinReplicas({ registry, own, log, refreshMs: 20 })
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
      })),
    )
  }

  test('start no more attempts together than the rate of a handler allows, also if it is less than one for each of them', async () => {
    const rates = { clock: { limit: 5, perMs: 500 }, watch: { limit: 1, perMs: 200 } }
    const [clock, watch] = [clockFile(), clockFile()]
    const workers = await startWorkers(3, rates)
    for (let n = 0; n < 16; n++) await workers[n % 3]?.keep(['clock'], clock.data)
    for (let n = 0; n < 4; n++) await workers[n % 3]?.keep(['watch'], watch.data)
    expect(shortestMs(await clock.starts(16), rates.clock)).toBeGreaterThanOrEqual(rates.clock.perMs - ROUNDING_MS)
    expect(shortestMs(await watch.starts(4), rates.watch)).toBeGreaterThanOrEqual(rates.watch.perMs - ROUNDING_MS)
  })

  test('take over the share of a worker that has left', async () => {
    const rates = { clock: { limit: 1, perMs: 100 } }
    const { data, starts } = clockFile()
    const [first, second] = await startWorkers(2, rates)
    if (first === undefined || second === undefined) return expect.unreachable()
    await first.leave()
    await first.dispatcher.stop(0, 0)
    await second.keep(['clock'], data)
    expect(await starts(1)).toHaveLength(1)
  })
})
