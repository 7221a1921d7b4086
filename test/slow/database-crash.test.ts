import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { type PostgresServer, startPostgres } from '../support/postgres/server.ts'
import {
  acceptedTwice,
  hasExited,
  missing,
  PROBES,
  readiness,
  startReplicas,
  unsucceeded,
} from '../support/replicas.ts'
import { type Answer, startSenders } from '../support/senders.ts'

const CRASHES = 5
const REPLICAS = 3
const SENDERS = 12
/** Acknowledged between one crash and the next. */
const EVENTS_BETWEEN = 500
const REFUSED_BY_EACH = 10
/** From the moment that the database takes connections again. */
const RECOVERY_MS = 2_000

let server: PostgresServer
beforeEach(async () => {
  server = await startPostgres()
  onTestFinished(() => server.remove())
})

interface Outage {
  /** The database is gone from here… */
  readonly fromMs: number
  /** …to here, where it is about to be started, … */
  readonly untilMs: number
  /** …and takes connections again here. */
  readonly backMs: number
}

test(`when PostgreSQL is killed ${CRASHES} times under load, the service acknowledges nothing meanwhile, loses nothing acknowledged and goes on by itself`, async () => {
  const replicas = await startReplicas(server.url, REPLICAS)
  const senders = startSenders(replicas.urls, { count: SENDERS, types: Object.values(PROBES) })
  const outages: Outage[] = []
  const reasons = new Set<string>()
  for (let crash = 0; crash < CRASHES; crash++) {
    const enough = senders.ledger.size + EVENTS_BETWEEN
    await eventually(
      async () => senders.ledger.size,
      (size) => size >= enough,
      30_000,
    )
    await server.kill()
    const fromMs = performance.now()
    for (const service of replicas.services) {
      const notReady = await eventually(
        () => readiness(service),
        ({ status }) => status === 503,
      )
      expect(notReady.reasons).not.toEqual([])
      for (const reason of notReady.reasons) reasons.add(reason)
    }
    // It stays away until every replica has refused some.
    await eventually(
      async () => replicas.urls().map((url) => sentSince(fromMs).filter(({ target }) => target === url).length),
      (counts) => Math.min(...counts) >= REFUSED_BY_EACH,
    )
    const untilMs = performance.now()
    await server.start()
    outages.push({ fromMs, untilMs, backMs: performance.now() })
    for (const service of replicas.services) {
      await eventually(
        () => readiness(service),
        ({ status }) => status === 200,
        RECOVERY_MS,
      )
    }
    await eventually(
      async () => firstAnswers(),
      (firsts) => firsts.every(Number.isFinite),
    )
  }
  await senders.stop()
  await replicas.settled(60_000)

  function sentSince(fromMs: number): Answer[] {
    return senders.answers.filter(({ sentAtMs }) => sentAtMs > fromMs)
  }

  /** Of each replica: from the last return of the database to its first acknowledgement. */
  function firstAnswers(): number[] {
    const backMs = outages.at(-1)?.backMs ?? 0
    return replicas.urls().map((url) => {
      const first = senders.answers.find(
        ({ target, status, answeredAtMs }) => target === url && status === 200 && answeredAtMs > backMs,
      )
      return (first?.answeredAtMs ?? Number.POSITIVE_INFINITY) - backMs
    })
  }

  const acknowledged = senders.answers.filter(({ status }) => status === 200)
  const meanwhile = outages.map(({ fromMs, untilMs }) => {
    const within = sentSince(fromMs).filter(({ answeredAtMs }) => answeredAtMs < untilMs)
    return { refused: within.length, acknowledged: within.filter(({ status }) => status === 200).length }
  })
  const recoveries = outages.map(({ backMs }) =>
    replicas.urls().map((url) => {
      const first = acknowledged.find(({ target, answeredAtMs }) => target === url && answeredAtMs > backMs)
      return Math.round((first?.answeredAtMs ?? Number.POSITIVE_INFINITY) - backMs)
    }),
  )
  console.log(
    [
      `${senders.ledger.size} events acknowledged over ${CRASHES} crashes`,
      `down for ${outages.map(({ fromMs, backMs }) => Math.round(backMs - fromMs)).join(', ')} ms`,
      `answers while it was gone: ${meanwhile.map(({ refused }) => refused).join(', ')}, none of them 200`,
      `first 200 of each replica, ms after the return: ${recoveries.map((each) => each.join('/')).join(', ')}`,
      `/readyz: ${[...reasons].join(' | ')}`,
    ].join('\n'),
  )
  expect(meanwhile.map(({ acknowledged }) => acknowledged)).toEqual(outages.map(() => 0))
  expect(Math.min(...meanwhile.map(({ refused }) => refused))).toBeGreaterThan(0)
  // As a rule; and on a machine that is busy with others, not much longer.
  const sorted = recoveries.flat().toSorted((a, b) => a - b)
  expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(RECOVERY_MS)
  expect(sorted.at(-1)).toBeLessThan(5 * RECOVERY_MS)
  expect(await missing(server.url, senders.ledger)).toEqual([])
  expect(await acceptedTwice(server.url)).toEqual([])
  expect(await unsucceeded(server.url)).toEqual([])
  expect(senders.contradictions).toEqual([])
  const handled = replicas.handled()
  expect([...senders.ledger.values()].filter((uid) => !handled.has(uid))).toEqual([])
  expect(replicas.services.filter(hasExited)).toEqual([])
})
