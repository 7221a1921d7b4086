import { describe, expect, test } from 'vitest'
import { post, signedEvent } from '../support/events.ts'
import { eventually } from '../support/eventually.ts'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import {
  acceptedTwice,
  hasExited,
  LONG,
  LONG_MS,
  missing,
  PROBES,
  type Replicas,
  startReplicas,
  unsucceeded,
} from '../support/replicas.ts'
import { startSenders } from '../support/senders.ts'
import type { Service } from '../support/service.ts'

const REPLICAS = 3
const SENDERS = 12
const LOAD_MS = 60_000
const MAX_QUIET_MS = 4_000

/** Ends one replica after the other and starts another in its place, while one is always there. Gives how many. */
async function killAtRandom(replicas: Replicas): Promise<number> {
  const until = Date.now() + LOAD_MS
  const starting = new Set<Promise<unknown>>()
  let kills = 0
  while (Date.now() < until) {
    // The kill falls wherever it falls: the time is the fault's, not something the test waits for.
    await new Promise((resolve) => setTimeout(resolve, Math.random() * MAX_QUIET_MS))
    while (replicas.services.length < 2) await Promise.race(starting)
    const victim = replicas.services[Math.floor(Math.random() * replicas.services.length)]
    if (victim === undefined) continue
    await replicas.kill(victim)
    kills++
    const start = replicas.start().finally(() => starting.delete(start))
    starting.add(start)
  }
  await Promise.all(starting)
  return kills
}

/** Deliveries whose history is not one of attempts in order, of which the last one, and only that, has succeeded. */
const INCONSISTENT = `
  SELECT d.key, d.handler, d.attempts, d.state, h.outcomes FROM delivery AS d
  LEFT JOIN (
    SELECT delivery, array_agg(outcome ORDER BY ordinal) AS outcomes, bool_and(ordinal = number) AS in_order,
      max(number) AS last, count(*) AS n, count(*) FILTER (WHERE outcome = 'succeeded') AS succeeded
    FROM attempt GROUP BY delivery
  ) AS h ON h.delivery = d.key
  WHERE (
    h.in_order AND h.last = h.n AND d.attempts = h.n AND h.succeeded = 1 AND h.outcomes[h.n] = 'succeeded'
    AND d.lease IS NULL AND (d.handler <> 'flaky' OR h.outcomes[1] IN ('failed', 'lease_lost'))
  ) IS NOT TRUE
`
const OUTCOMES = 'SELECT outcome, count(*)::integer AS n FROM attempt GROUP BY outcome ORDER BY outcome'
/** States of which the sum that was kept is not what there is. */
const MISCOUNTED = `
  SELECT state, sum(n) FROM (
    SELECT state, n FROM tally WHERE state NOT LIKE 'task:%' UNION ALL SELECT state, -1 FROM delivery
  ) AS both_ways GROUP BY state HAVING sum(n) <> 0
`

test(`${REPLICAS} replicas that are killed at random for ${LOAD_MS / 1_000} s under load accept each event once, lose none, and handle every one`, async () => {
  const databaseUrl = ownSchema()
  const replicas = await startReplicas(databaseUrl, REPLICAS)
  const senders = startSenders(replicas.urls, { count: SENDERS, types: Object.values(PROBES), pauseMs: 40 })
  const kills = await killAtRandom(replicas)
  await senders.stop()
  const stoppedAt = performance.now()
  await replicas.settled(90_000)
  const settledMs = performance.now() - stoppedAt

  const outcomes = await queryIn<{ outcome: string; n: number }>(databaseUrl, OUTCOMES)
  const unanswered = senders.answers.filter(({ status }) => status === 0).length
  const refused = senders.answers.filter(({ status }) => status !== 0 && status !== 200).length
  console.log(
    [
      `${senders.ledger.size} events acknowledged over ${kills} kills, ${unanswered} requests broken, ${refused} refused`,
      `attempts: ${outcomes.map(({ outcome, n }) => `${n} ${outcome}`).join(', ')}`,
      `all handled ${Math.round(settledMs)} ms after the last event`,
    ].join('\n'),
  )
  expect(kills).toBeGreaterThan(5)
  expect(unanswered).toBeGreaterThan(0)
  expect(await missing(databaseUrl, senders.ledger)).toEqual([])
  expect(senders.contradictions).toEqual([])
  expect(await acceptedTwice(databaseUrl)).toEqual([])
  expect(await unsucceeded(databaseUrl)).toEqual([])
  const handled = replicas.handled()
  expect([...senders.ledger.values()].filter((uid) => !handled.has(uid))).toEqual([])
  expect(await queryIn(databaseUrl, INCONSISTENT)).toEqual([])
  expect(outcomes.map(({ outcome }) => outcome)).toContain('lease_lost')
  expect(await queryIn(databaseUrl, MISCOUNTED)).toEqual([])
  expect(replicas.services.filter(hasExited)).toEqual([])
})

/** As many as one replica runs at once, unless told otherwise. */
const AT_WORK = 32
/** What a replica that vanished was at work at runs elsewhere by then. */
const ELSEWHERE_MS = 10_000

interface AtWork {
  readonly databaseUrl: string
  readonly replicas: Replicas
  readonly first: Service
  readonly uids: readonly string[]
}

/** A replica with all that it can run at work, and another one with nothing to do. */
async function atWork(): Promise<AtWork> {
  const databaseUrl = ownSchema()
  const replicas = await startReplicas(databaseUrl, 2, { HANDLER_TIMEOUT_MS: '60000' })
  const [first, second] = replicas.services
  if (first === undefined || second === undefined) throw new Error('two were started')
  // It takes nothing while it stands still, and not for so long that another replica would take it for dead.
  second.child.kill('SIGSTOP')
  const acknowledged = await Promise.all(
    Array.from({ length: AT_WORK }, () => post(first.publicUrl, signedEvent(LONG))),
  )
  await running(databaseUrl, 1, LONG_MS)
  second.child.kill('SIGCONT')
  return { databaseUrl, replicas, first, uids: acknowledged.map(({ uid }) => uid) }
}

/** Resolves when all are at that attempt, or have come to its end. */
const running = (databaseUrl: string, attempt: number, withinMs: number): Promise<unknown> =>
  eventually(
    () =>
      queryIn<{ n: number }>(
        databaseUrl,
        `SELECT count(*)::integer AS n FROM delivery WHERE attempts = $1 AND state IN ('running', 'succeeded')`,
        [attempt],
      ),
    ([row]) => row?.n === AT_WORK,
    withinMs,
  )

const HISTORIES = `
  SELECT outcomes, count(*)::integer AS n FROM (
    SELECT string_agg(outcome, ', ' ORDER BY ordinal) AS outcomes FROM attempt GROUP BY delivery
  ) AS each GROUP BY outcomes
`

describe(`when a replica with ${AT_WORK} running handlers of ${LONG_MS / 1_000} s`, () => {
  test('is killed, all of them run at another replica within 10 s, side by side', async () => {
    const { databaseUrl, replicas, first, uids } = await atWork()
    await replicas.kill(first)
    const killedAt = performance.now()
    await running(databaseUrl, 2, ELSEWHERE_MS)
    const elsewhereMs = Math.round(performance.now() - killedAt)
    await replicas.settled(3 * LONG_MS)
    const doneMs = Math.round(performance.now() - killedAt)
    console.log(
      `${AT_WORK} handlers of a replica that was killed: elsewhere after ${elsewhereMs} ms, done after ${doneMs} ms`,
    )
    // One after the other they would take a minute and a half.
    expect(doneMs).toBeLessThan(ELSEWHERE_MS + 2 * LONG_MS)
    expect(uids.filter((uid) => !replicas.handled().has(uid))).toEqual([])
    expect(await queryIn(databaseUrl, HISTORIES)).toEqual([{ outcomes: 'lease_lost, succeeded', n: AT_WORK }])
    expect(await queryIn(databaseUrl, MISCOUNTED)).toEqual([])
  })

  test('is stopped for longer than its leases and goes on, no result is counted twice, and it works as before', async () => {
    const { databaseUrl, replicas, first, uids } = await atWork()
    first.child.kill('SIGSTOP')
    await running(databaseUrl, 2, ELSEWHERE_MS)
    await replicas.settled(3 * LONG_MS)
    const before = await queryIn(databaseUrl, 'SELECT * FROM attempt ORDER BY delivery, ordinal')
    first.child.kill('SIGCONT')
    await first.logged(({ msg }) => msg === 'attempts outlived their lease and were not recorded')
    const again = await Promise.all(
      Array.from({ length: AT_WORK }, () => post(first.publicUrl, signedEvent(PROBES.steady))),
    )
    await replicas.settled(3 * LONG_MS)
    expect(again.filter(({ uid }) => !replicas.handled().has(uid))).toEqual([])
    expect(uids.filter((uid) => !replicas.handled().has(uid))).toEqual([])
    const since = await queryIn(
      databaseUrl,
      `SELECT a.* FROM attempt AS a JOIN delivery AS d ON d.key = a.delivery WHERE d.handler = 'long'
       ORDER BY a.delivery, a.ordinal`,
    )
    expect(since).toEqual(before)
    expect(await queryIn(databaseUrl, HISTORIES)).toEqual(
      expect.arrayContaining([{ outcomes: 'lease_lost, succeeded', n: AT_WORK }]),
    )
    expect(await queryIn(databaseUrl, MISCOUNTED)).toEqual([])
    expect(hasExited(first)).toBe(false)
  })
})
