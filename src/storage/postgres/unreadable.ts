import { messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import { eventKeyOf } from '../records/keys.ts'
import type { Connections } from './connections.ts'
import type { Damage } from './damage.ts'
import type { DatabaseClock } from './database-clock.ts'
import { isDamage } from './errors.ts'
import { toText } from './text.ts'

/** Deliveries of each handler that are looked at: more than one claim takes. */
const MAX_LOOKED_AT = 500
/** Deliveries whose events are read at once, bodies and all: a statement has only so much time. */
const MAX_READ = 32

const DUE = `
  SELECT d.key FROM unnest($2::text[]) AS h (name) CROSS JOIN (VALUES (false), (true)) AS i (isolated)
  CROSS JOIN LATERAL (
    SELECT key FROM delivery WHERE state = 'pending' AND handler = h.name AND isolated = i.isolated AND due_at <= clock_1($1)
    ORDER BY due_at, key LIMIT ${MAX_LOOKED_AT}
  ) AS d
`
const READ = `
  SELECT count(sha256(b.bytes)), sum(length(b.headers)) FROM event AS x
  LEFT JOIN event_body AS b ON b.day = day_1(x.received_at) AND b.key = x.key WHERE x.key = ANY ($1)
`
/** Here and below by the primary key alone, and no index of what is due (`state || ''`). */
const BURY = `
  WITH gone AS MATERIALIZED (
    SELECT key, attempts FROM delivery WHERE key = ANY ($2) AND state || '' = 'pending' ORDER BY key FOR UPDATE
  ),
  recorded AS (
    INSERT INTO attempt SELECT key, next_ordinal_1(key), attempts + 1, 'body_corrupt', $3, clock_1($1), 0 FROM gone
  ),
  tallied AS (
    INSERT INTO tally SELECT t.state, t.n * count(*) FROM gone CROSS JOIN (VALUES ('pending', -1), ('dead', 1)) AS t (state, n)
    GROUP BY t.state, t.n
  )
  UPDATE delivery SET state = 'dead', due_at = clock_1($1), attempts = gone.attempts + 1, last_error = $3
  FROM gone WHERE delivery.key = gone.key RETURNING delivery.key
`

const LOST =
  "SELECT key FROM delivery WHERE state = 'running' AND lease_until <= clock_1($1) ORDER BY lease_until LIMIT 500"
const TAKE_BACK = `
  SELECT FROM lose_1(clock_1($1), ARRAY(
    SELECT key FROM delivery WHERE key = $2 AND state || '' = 'running' AND lease_until <= clock_1($1) FOR UPDATE SKIP LOCKED
  ), $3, $4)
`
/** As `lose_1` does. */
const TAKE_BACK_UNRECORDED = `
  WITH lost AS MATERIALIZED (
    SELECT key, isolated OR last_error IS NOT DISTINCT FROM $4 AS isolated,
      CASE WHEN attempts >= $3 THEN 'dead' ELSE 'pending' END AS state
    FROM delivery WHERE key = $2 AND state || '' = 'running' AND lease_until <= clock_1($1) FOR UPDATE SKIP LOCKED
  ),
  tallied AS (INSERT INTO tally SELECT state, 1 FROM lost UNION ALL SELECT 'running', -1 FROM lost)
  UPDATE delivery SET state = lost.state, due_at = clock_1($1), isolated = lost.isolated, last_error = $4, lease = NULL,
    lease_until = NULL, started_at = NULL
  FROM lost WHERE delivery.key = lost.key RETURNING delivery.key
`

export interface UnreadableParts {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly damage: Damage
  readonly onLog: StoreLog
}

/**
 * Has every due delivery dead whose event the server cannot read (a damaged page, a missing part of a long value), so that the
 * others can be claimed. Gives how many. One to which a damaged index does not lead stays: it can be read once that is mended.
 */
export async function buryDue(parts: UnreadableParts, handlers: readonly string[]): Promise<number> {
  const { connections, clock, onLog } = parts
  const due = await unlessDamaged(
    connections.run<{ key: number }>('read', DUE, [clock.givenMs(), handlers.map(toText)]),
    [],
  )
  const keys = due.map(({ key }) => key)
  let buried = 0
  for (let from = 0; from < keys.length; from += MAX_READ) {
    for (const { key, reason } of await unreadableOf(parts, keys.slice(from, from + MAX_READ))) {
      const error = `body cannot be read: ${reason}`
      const rows = await unlessDamaged(connections.run('work', BURY, [clock.givenMs(), [key], toText(error)]), [])
      if (rows.length > 0) onLog('error', `a delivery is dead, since the database is damaged: ${error}`)
      buried += rows.length
    }
  }
  return buried
}

/**
 * Takes back every delivery whose lease ran out, without a word in its history where that cannot be written. Gives how many those
 * are.
 */
export async function takeBackUnrecorded(parts: UnreadableParts, maxAttempts: number, why: string): Promise<number> {
  const { connections, clock } = parts
  const lost = await unlessDamaged(connections.run<{ key: number }>('read', LOST, [clock.givenMs()]), [])
  let unrecorded = 0
  for (const { key } of lost) {
    const values = [clock.givenMs(), key, maxAttempts, why]
    if ((await unlessDamaged(connections.run('lease', TAKE_BACK, values), undefined)) !== undefined) continue
    unrecorded += (await unlessDamaged(connections.run('lease', TAKE_BACK_UNRECORDED, values), [])).length
  }
  return unrecorded
}

interface Unreadable {
  readonly key: number
  readonly reason: string
}

/** By halves. */
async function unreadableOf(parts: UnreadableParts, deliveries: readonly number[]): Promise<readonly Unreadable[]> {
  const [key] = deliveries
  if (key === undefined) return []
  const error = await damageOf(parts.connections, deliveries)
  if (error === undefined) return []
  if (deliveries.length === 1)
    return (await parts.damage.found(error)) === 'rows' ? [{ key, reason: messageOf(error) }] : []
  const middle = deliveries.length / 2
  return [
    ...(await unreadableOf(parts, deliveries.slice(0, middle))),
    ...(await unreadableOf(parts, deliveries.slice(middle))),
  ]
}

async function damageOf(connections: Connections, deliveries: readonly number[]): Promise<unknown> {
  try {
    await connections.run('read', READ, [[...new Set(deliveries.map(eventKeyOf))]])
    return undefined
  } catch (error) {
    if (!isDamage(error)) throw error
    return error
  }
}

/** What a statement gives; or this, where it leads over what cannot be read. */
export async function unlessDamaged<Result>(running: Promise<Result>, instead: Result): Promise<Result> {
  try {
    return await running
  } catch (error) {
    if (!isDamage(error)) throw error
    return instead
  }
}
