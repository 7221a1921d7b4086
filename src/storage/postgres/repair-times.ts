import { AHEAD_TOLERANCE_MS } from '../../domain/clock.ts'
import { type LongestWaits, MAX_REPAIRED_ROWS, type RepairedTimes } from '../../domain/store-clock.ts'
import { IS_LEFT_TO_DEADLINE } from '../shared/tasks.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import { unlessDamaged } from './errors.ts'

const CLOCK = `clock AS MATERIALIZED (SELECT clock_1($1) AS now, clock_1($1) + ${AHEAD_TOLERANCE_MS} AS ahead)`

/**
 * A body moves to the partition of its new day in the same statement: a reader finds the body either before or after the move.
 */
const EVENTS = {
  name: 'bring-back-events',
  text: `
    WITH ${CLOCK},
    ahead AS MATERIALIZED (
      SELECT key, received_at FROM event WHERE received_at > (SELECT ahead FROM clock)
      ORDER BY received_at, key LIMIT ${MAX_REPAIRED_ROWS} FOR UPDATE SKIP LOCKED
    ),
    bodies AS (
      UPDATE event_body AS b SET day = day_1((SELECT now FROM clock)) FROM ahead
      WHERE b.day = day_1(ahead.received_at) AND b.key = ahead.key AND b.day <> day_1((SELECT now FROM clock))
    ),
    started AS (
      UPDATE delivery AS d SET due_at = (SELECT now FROM clock)
      FROM ahead CROSS JOIN LATERAL (
        SELECT q.key FROM delivery AS q WHERE q.key BETWEEN ahead.key * 1024 AND ahead.key * 1024 + 1023 ORDER BY q.key LIMIT 1024
      ) AS of_event
      WHERE d.key = of_event.key AND d.state IN ('pending', 'blocked', 'unplaced') AND d.due_at > (SELECT now FROM clock) RETURNING d.key
    ),
    received AS (
      UPDATE event AS e SET received_at = (SELECT now FROM clock) FROM ahead WHERE e.key = ahead.key RETURNING e.key
    )
    SELECT (SELECT count(*)::integer FROM received) AS events, (SELECT count(*)::integer FROM started) AS deliveries
  `,
}
/** If `started_at` of an attempt lies ahead, the clock was ahead when the attempt ran. */
const DELIVERIES = {
  name: 'bring-back-deliveries',
  text: `
    WITH ${CLOCK},
    ahead AS MATERIALIZED (
      SELECT d.key FROM known_handler AS w CROSS JOIN (VALUES (false), (true)) AS k (isolated)
      CROSS JOIN LATERAL (
        SELECT q.key FROM delivery AS q
        WHERE q.state = 'pending' AND q.handler = w.name AND q.isolated = k.isolated
          AND q.due_at > (SELECT ahead FROM clock) + $2 AND q.held_for IS NULL
          AND (q.due_at > (SELECT ahead FROM clock) + $3 OR q.attempts = 0 OR NOT EXISTS (
            SELECT FROM attempt AS a WHERE a.delivery = q.key AND a.outcome = 'retry_after'
              AND a.started_at <= (SELECT ahead FROM clock) AND a.ordinal = next_ordinal_1(q.key) - 1
          ))
        LIMIT ${MAX_REPAIRED_ROWS}
      ) AS d
      UNION ALL SELECT key FROM delivery WHERE $4 AND state = 'dead' AND due_at > (SELECT ahead FROM clock)
      LIMIT ${MAX_REPAIRED_ROWS}
    )
    UPDATE delivery AS d SET due_at = (SELECT now FROM clock) FROM ahead
    WHERE d.key = ahead.key AND d.state IN ('pending', 'dead') AND d.due_at > (SELECT now FROM clock) RETURNING d.key
  `,
}
/** Leaves a lease alone that did not begin ahead: the handlers of its holder may have more time than those of this process. */
const LEASES = {
  name: 'bring-back-leases',
  text: `
    WITH ${CLOCK}
    UPDATE delivery AS d SET lease_until = (SELECT now FROM clock) + $2 WHERE d.key IN (
      SELECT key FROM delivery
      WHERE state = 'running' AND lease_until > (SELECT ahead FROM clock) + $2
        AND coalesce(started_at, lease_until) > (SELECT ahead FROM clock)
      LIMIT ${MAX_REPAIRED_ROWS} FOR UPDATE SKIP LOCKED
    ) RETURNING d.key
  `,
}
/**
 * Without this, a store that is gone would count as alive until the time of its heartbeat has come. A store that is alive
 * writes its next heartbeat soon.
 */
const HEARTBEATS = {
  name: 'bring-back-signs',
  text: `
    WITH clock AS MATERIALIZED (SELECT clock_1(NULL) AS own_now, clock_1($1) AS now),
    holders AS (
      UPDATE lease_holder SET seen_at = (SELECT own_now FROM clock), since_at = (SELECT own_now FROM clock)
      WHERE seen_at > (SELECT own_now FROM clock) + ${AHEAD_TOLERANCE_MS}
    )
    UPDATE replica SET seen_at = (SELECT now FROM clock), gone_at = least(gone_at, CASE WHEN gone_at IS NOT NULL THEN (SELECT now FROM clock) END)
    WHERE greatest(seen_at, gone_at) > (SELECT now FROM clock) + ${AHEAD_TOLERANCE_MS}
  `,
}
/**
 * If a task began while the clock was ahead, all its times move by the same amount. `source >= ''` makes the statement use the
 * index of the tasks that have not ended.
 */
const AWAITED_TASKS = {
  name: 'bring-back-awaited',
  text: `
    WITH ${CLOCK},
    ahead AS MATERIALIZED (
      SELECT key,
        CASE WHEN $3 AND created_at > (SELECT ahead FROM clock) THEN created_at - (SELECT now FROM clock) ELSE 0 END AS by_ms,
        ${IS_LEFT_TO_DEADLINE} AS is_left
      FROM task
      WHERE ended_at IS NULL AND source >= '' AND (
        (due_at > greatest((SELECT ahead FROM clock) + $2, stale_at) AND NOT ${IS_LEFT_TO_DEADLINE}) OR ($3 AND created_at > (SELECT ahead FROM clock))
      )
      LIMIT ${MAX_REPAIRED_ROWS} FOR UPDATE SKIP LOCKED
    )
    UPDATE task AS t SET created_at = t.created_at - by_ms, stale_at = t.stale_at - by_ms, expires_at = t.expires_at - by_ms,
      due_at = CASE
        WHEN NOT is_left AND t.due_at - by_ms > greatest((SELECT ahead FROM clock) + $2, t.stale_at - by_ms) THEN (SELECT now FROM clock)
        ELSE t.due_at - by_ms END
    FROM ahead WHERE t.key = ahead.key RETURNING t.key
  `,
}
const ENDED_TASKS = {
  name: 'bring-back-ended',
  text: `
    WITH ${CLOCK}
    UPDATE task SET ended_at = (SELECT now FROM clock), created_at = least(created_at, (SELECT now FROM clock))
    WHERE key IN (
      SELECT key FROM task WHERE ended_at > (SELECT ahead FROM clock) ORDER BY ended_at LIMIT ${MAX_REPAIRED_ROWS} FOR UPDATE SKIP LOCKED
    ) RETURNING key
  `,
}

const QUESTIONS = {
  name: 'bring-back-questions',
  text: `
    WITH ${CLOCK}
    UPDATE task_question AS q SET at = (SELECT now FROM clock) FROM unnest($2::bigint[]) AS t (key)
    WHERE q.key BETWEEN t.key * 128 AND t.key * 128 + 127 AND q.at > (SELECT now FROM clock)
  `,
}

export function createRepairTimes(connections: Connections, clock: DatabaseClock) {
  return async ({ retryMs, retryAfterMs, pollMs, leaseMs, isTrusted }: LongestWaits): Promise<RepairedTimes> => {
    const given = clock.givenMs()
    const [found] = isTrusted
      ? await connections.run<{ events: number; deliveries: number }>('work', EVENTS, [given])
      : []
    const { events = 0, deliveries = 0 } = found ?? {}
    const started = await connections.run('work', DELIVERIES, [given, retryMs, retryAfterMs, isTrusted])
    const leased = await connections.run('work', LEASES, [given, leaseMs])
    await connections.run('work', HEARTBEATS, [given])
    const awaited = await connections.run('work', AWAITED_TASKS, [given, pollMs, isTrusted])
    const ended = isTrusted ? await connections.run('work', ENDED_TASKS, [given]) : []
    const tasks = [...awaited, ...ended].map(({ key }) => Number(key))
    if (isTrusted && tasks.length > 0) await unlessDamaged(connections.run('work', QUESTIONS, [given, tasks]), [])
    return { events, deliveries: deliveries + started.length + leased.length, tasks: tasks.length }
  }
}
