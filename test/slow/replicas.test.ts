import { expect, test } from 'vitest'
import { ownSchema, queryIn } from '../support/postgres/schema.ts'
import {
  acceptedTwice,
  hasExited,
  missing,
  PROBES,
  type Replicas,
  shortenLeases,
  startReplicas,
  unsucceeded,
} from '../support/replicas.ts'
import { startSenders } from '../support/senders.ts'

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

test(`${REPLICAS} replicas, killed at random for ${LOAD_MS / 1_000} s under load: each event is accepted once, none is lost, and every one is handled`, async () => {
  const databaseUrl = ownSchema()
  const replicas = await startReplicas(databaseUrl, REPLICAS)
  await shortenLeases(databaseUrl)
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
