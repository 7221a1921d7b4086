import type { DatabaseSync } from 'node:sqlite'
import { AHEAD_TOLERANCE_MS } from '../../domain/clock.ts'
import { type LongestWaits, MAX_REPAIRED_ROWS, type RepairedTimes } from '../../domain/store-clock.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../shared/deliveries.ts'
import { firstQuestionKey, lastQuestionKey } from '../shared/questions.ts'
import { IS_LEFT_TO_DEADLINE } from '../shared/tasks.ts'
import type { Damage } from './damage.ts'
import { PENDING_HANDLERS } from './due-deliveries.ts'

/** Keys of rows with a time that lies further ahead than any wait explains. */
export interface FoundAhead {
  readonly events: readonly number[]
  readonly deliveries: readonly number[]
  readonly leases: readonly number[]
  readonly tasks: readonly number[]
}

const NOTHING: RepairedTimes = { events: 0, deliveries: 0, tasks: 0 }

/** Writes only if something was found. */
export async function repairFound(
  found: Promise<FoundAhead>,
  repairTimes: (found: FoundAhead) => Promise<RepairedTimes>,
): Promise<RepairedTimes> {
  const ahead = await found
  return Object.values<readonly number[]>({ ...ahead }).every(({ length }) => length === 0)
    ? NOTHING
    : repairTimes(ahead)
}

/**
 * Finds the rows with times that lie too far ahead, in the reader thread. If `started_at` of an attempt lies ahead, the clock
 * was ahead when the attempt started.
 */
export function prepareFindAhead(db: DatabaseSync) {
  const events = db.prepare(
    `SELECT key FROM event WHERE received_at > ? ORDER BY received_at LIMIT ${MAX_REPAIRED_ROWS}`,
  )
  const deliveries = db.prepare(`
    ${PENDING_HANDLERS}
    SELECT delivery.key FROM pending CROSS JOIN isolation CROSS JOIN delivery
    WHERE pending.handler IS NOT NULL AND delivery.state = 'pending' AND delivery.handler = pending.handler
      AND delivery.isolated = isolation.isolated AND delivery.due_at > ?1 AND delivery.held_for IS NULL
      AND (delivery.due_at > ?2 OR delivery.attempts = 0 OR NOT EXISTS (
        SELECT 1 FROM attempt WHERE attempt.delivery = delivery.key AND outcome = 'retry_after' AND started_at <= ?3
          AND ordinal = (SELECT max(ordinal) FROM attempt AS last WHERE last.delivery = delivery.key)
      ))
    UNION ALL SELECT key FROM delivery WHERE state = 'dead' AND due_at > ?4
    LIMIT ${MAX_REPAIRED_ROWS}
  `)
  const leases = db.prepare(`
    SELECT key FROM delivery WHERE state = 'running' AND lease_until > ?1 AND coalesce(started_at, lease_until) > ?2 LIMIT ${MAX_REPAIRED_ROWS}
  `)
  const tasks = db.prepare(`
    SELECT key FROM task INDEXED BY task_expiring
    WHERE source >= '' AND ended_at IS NULL AND ((due_at > max(?1, stale_at) AND NOT ${IS_LEFT_TO_DEADLINE}) OR (?2 IS NOT NULL AND created_at > ?2))
    UNION ALL SELECT key FROM task WHERE ended_at > ?2
    LIMIT ${MAX_REPAIRED_ROWS}
  `)
  const keysOf = (rows: readonly Readonly<Record<string, unknown>>[]): readonly number[] =>
    rows.map(({ key }) => Number(key))

  return ({ retryMs, retryAfterMs, pollMs, leaseMs, isTrusted }: LongestWaits, nowMs: number): FoundAhead => {
    const aheadMs = nowMs + AHEAD_TOLERANCE_MS
    return {
      events: isTrusted ? keysOf(events.all(aheadMs)) : [],
      deliveries: keysOf(
        deliveries.all(aheadMs + retryMs, aheadMs + retryAfterMs, aheadMs, isTrusted ? aheadMs : null),
      ),
      leases: keysOf(leases.all(aheadMs + leaseMs, aheadMs)),
      tasks: keysOf(tasks.all(aheadMs + pollMs, isTrusted ? aheadMs : null)),
    }
  }
}

/** Corrects the times of the found rows, if they still lie ahead. */
export function prepareRepairTimes(db: DatabaseSync, damage: Damage) {
  const receive = db.prepare('UPDATE event SET received_at = ?2 WHERE key = ?1 AND received_at > ?2')
  const startOf = db.prepare(
    "UPDATE delivery SET due_at = ?3 WHERE key BETWEEN ?1 AND ?2 AND state IN ('pending', 'blocked') AND due_at > ?3",
  )
  const start = db.prepare(
    "UPDATE delivery SET due_at = ?2 WHERE key = ?1 AND state IN ('pending', 'dead') AND due_at > ?2",
  )
  const lease = db.prepare(
    "UPDATE delivery SET lease_until = ?2 WHERE key = ?1 AND state = 'running' AND lease_until > ?2",
  )
  const begin = db.prepare(`
    UPDATE task SET created_at = ?2, stale_at = stale_at - (created_at - ?2), expires_at = expires_at - (created_at - ?2),
      due_at = due_at - (created_at - ?2)
    WHERE key = ?1 AND ended_at IS NULL AND created_at > ?2
  `)
  const ask = db.prepare(`
    UPDATE task SET due_at = ?2 WHERE key = ?1 AND ended_at IS NULL AND due_at > max(?2, stale_at) AND NOT ${IS_LEFT_TO_DEADLINE}
  `)
  const askedAt = db.prepare('UPDATE task_question SET at = ?3 WHERE key BETWEEN ?1 AND ?2 AND at > ?3')
  const end = db.prepare(
    'UPDATE task SET ended_at = ?2, created_at = min(created_at, ?2) WHERE key = ?1 AND ended_at > ?2',
  )

  /** Those on a damaged page stay as they are. */
  const bringBackQuestions = (task: number, nowMs: number) =>
    damage.around(
      'the questions about task',
      task,
      () => askedAt.run(firstQuestionKey(task), lastQuestionKey(task), nowMs),
      () => undefined,
    )

  return (found: FoundAhead, { leaseMs, isTrusted }: LongestWaits, nowMs: number): RepairedTimes => {
    let deliveries = 0
    for (const key of found.deliveries) deliveries += Number(start.run(key, nowMs).changes)
    for (const key of found.leases) deliveries += Number(lease.run(key, nowMs + leaseMs).changes)
    let events = 0
    for (const key of found.events) {
      deliveries += Number(startOf.run(firstDeliveryKey(key), lastDeliveryKey(key), nowMs).changes)
      events += Number(receive.run(key, nowMs).changes)
    }
    let tasks = 0
    for (const key of found.tasks) {
      const begun = isTrusted ? Number(begin.run(key, nowMs).changes) : 0
      const ended = isTrusted ? Number(end.run(key, nowMs).changes) : 0
      const dueSooner = Number(ask.run(key, nowMs).changes)
      if (isTrusted) bringBackQuestions(key, nowMs)
      if (begun + ended + dueSooner > 0) tasks++
    }
    return { events, deliveries, tasks }
  }
}
