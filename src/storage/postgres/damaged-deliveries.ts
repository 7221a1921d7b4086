import { messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import { bodyDamaged, eventKeyOf } from '../shared/deliveries.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import type { Damage } from './damage.ts'
import { isDamage, unlessDamaged } from './errors.ts'
import { escapeText } from './escape-text.ts'

/** How many due deliveries of each handler are checked: more than one claim takes. */
const MAX_LOOKED_AT = 500
/** How many deliveries have their events read by one statement, with their bodies: the time of the statement is limited. */
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
/** `state || ''` keeps this statement and those below to the primary key, because the indexes by state may be damaged. */
const MARK_DEAD = `
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

const EXPIRED =
  "SELECT key FROM delivery WHERE state = 'running' AND lease_until <= clock_1($1) ORDER BY lease_until LIMIT 500"
const RECLAIM = `
  SELECT FROM lose_2(clock_1($1), ARRAY(
    SELECT key FROM delivery WHERE key = $2 AND state || '' = 'running' AND lease_until <= clock_1($1) FOR UPDATE SKIP LOCKED
  ), $3, $5, $4)
`
/** Does what `lose_2` does, except for the history. */
const RECLAIM_UNRECORDED = `
  WITH lost AS MATERIALIZED (
    SELECT key, isolated OR last_error IS NOT DISTINCT FROM $4 AS isolated,
      CASE WHEN attempts >= most_attempts_1(handler, $3, $5) THEN 'dead' ELSE 'pending' END AS state
    FROM delivery WHERE key = $2 AND state || '' = 'running' AND lease_until <= clock_1($1) FOR UPDATE SKIP LOCKED
  ),
  tallied AS (INSERT INTO tally SELECT state, 1 FROM lost UNION ALL SELECT 'running', -1 FROM lost)
  UPDATE delivery SET state = lost.state, due_at = clock_1($1), isolated = lost.isolated, last_error = $4, lease = NULL,
    lease_until = NULL, started_at = NULL
  FROM lost WHERE delivery.key = lost.key RETURNING delivery.key
`

interface DamagedDeliveriesParts {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly damage: Damage
  readonly onLog: StoreLog
}

/**
 * Marks a due delivery dead if the server cannot read its event (a damaged page, a missing part of a long value), so that the
 * other deliveries can be claimed. Returns how many it marked. A delivery that only a damaged index hides stays as it is: it
 * can be read once the index is rebuilt.
 */
export async function markDeadUnreadable(parts: DamagedDeliveriesParts, handlers: readonly string[]): Promise<number> {
  const { connections, clock, onLog } = parts
  const due = await unlessDamaged(
    connections.run<{ key: number }>('read', DUE, [clock.givenMs(), handlers.map(escapeText)]),
    [],
  )
  const keys = due.map(({ key }) => key)
  let marked = 0
  for (let from = 0; from < keys.length; from += MAX_READ) {
    for (const { key, reason } of await unreadableOf(parts, keys.slice(from, from + MAX_READ))) {
      const error = bodyDamaged(reason)
      const rows = await unlessDamaged(
        connections.run('work', MARK_DEAD, [clock.givenMs(), [key], escapeText(error)]),
        [],
      )
      if (rows.length > 0) onLog('error', `a delivery is dead, because the database is damaged: ${error}`)
      marked += rows.length
    }
  }
  return marked
}

/**
 * Reclaims every delivery whose lease has expired. The lost attempt is left out of the history of the delivery if the history
 * cannot be written. Returns for how many deliveries it was left out.
 */
export async function reclaimExpiredLeases(
  parts: DamagedDeliveriesParts,
  maxAttempts: number,
  ownLimits: string | null,
  error: string,
): Promise<number> {
  const { connections, clock } = parts
  const expired = await unlessDamaged(connections.run<{ key: number }>('read', EXPIRED, [clock.givenMs()]), [])
  let unrecorded = 0
  for (const { key } of expired) {
    const values = [clock.givenMs(), key, maxAttempts, error, ownLimits]
    if ((await unlessDamaged(connections.run('lease', RECLAIM, values), undefined)) !== undefined) continue
    unrecorded += (await unlessDamaged(connections.run('lease', RECLAIM_UNRECORDED, values), [])).length
  }
  return unrecorded
}

interface Unreadable {
  readonly key: number
  readonly reason: string
}

/** Finds the unreadable deliveries: halves the list as long as a part of it cannot be read. */
async function unreadableOf(
  parts: DamagedDeliveriesParts,
  deliveries: readonly number[],
): Promise<readonly Unreadable[]> {
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
