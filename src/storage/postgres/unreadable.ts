import { messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import { eventKeyOf } from '../common/keys.ts'
import type { Connections } from './connections.ts'
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
const BURY = `
  WITH gone AS MATERIALIZED (SELECT key, attempts FROM delivery WHERE key = ANY ($2) AND state = 'pending' ORDER BY key FOR UPDATE),
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

/**
 * Has every due delivery dead whose event the server cannot read (a damaged page, a missing part of a long value), so that the
 * others can be claimed. Gives how many.
 */
export async function buryUnreadable(
  connections: Connections,
  clock: DatabaseClock,
  handlers: readonly string[],
  log: StoreLog,
): Promise<number> {
  const due = await connections.run<{ key: number }>('read', DUE, [clock.givenMs(), handlers.map(toText)])
  const keys = due.map(({ key }) => key)
  let buried = 0
  for (let from = 0; from < keys.length; from += MAX_READ) {
    for (const { key, reason } of await unreadableOf(connections, keys.slice(from, from + MAX_READ))) {
      const error = `body cannot be read: ${reason}`
      const rows = await connections.run('work', BURY, [clock.givenMs(), [key], toText(error)])
      buried += rows.length
      log('error', `a delivery is dead, since the database is damaged: ${error}`)
    }
  }
  return buried
}

interface Unreadable {
  readonly key: number
  readonly reason: string
}

/** By halves. */
async function unreadableOf(connections: Connections, deliveries: readonly number[]): Promise<readonly Unreadable[]> {
  const [key] = deliveries
  if (key === undefined) return []
  const reason = await damageOf(connections, deliveries)
  if (reason === undefined) return []
  if (deliveries.length === 1) return [{ key, reason }]
  const middle = deliveries.length / 2
  return [
    ...(await unreadableOf(connections, deliveries.slice(0, middle))),
    ...(await unreadableOf(connections, deliveries.slice(middle))),
  ]
}

async function damageOf(connections: Connections, deliveries: readonly number[]): Promise<string | undefined> {
  try {
    await connections.run('read', READ, [[...new Set(deliveries.map(eventKeyOf))]])
    return undefined
  } catch (error) {
    if (!isDamage(error)) throw error
    return messageOf(error)
  }
}
