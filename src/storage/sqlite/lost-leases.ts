import type { DatabaseSync } from 'node:sqlite'
import type { Tally } from './tally.ts'

const LEASE_LOST = 'what ran it went away before it ended'

/**
 * Takes back deliveries whose lease ran out by `leaseUntilMs`: the attempt is in their history as lost, and they are
 * pending, or dead where no attempt is left. A delivery runs alone if its last attempt was lost too: then it may be to
 * blame; once, it need have done nothing but run when the service ended.
 */
export function prepareTakeBack(db: DatabaseSync, tally: Tally) {
  const record = db.prepare(`
    INSERT INTO attempt (delivery, ordinal, number, outcome, error, started_at, duration_ms)
    SELECT key, 1 + coalesce((SELECT max(ordinal) FROM attempt WHERE delivery = delivery.key), 0),
      attempts, 'lease_lost', ?, started_at, max(0, ? - started_at)
    FROM delivery WHERE state = 'running' AND lease_until <= ?
  `)
  const takeBack = db.prepare(`
    UPDATE delivery SET state = ?1, due_at = ?2, isolated = isolated OR last_error IS ?3, last_error = ?3,
      lease = NULL, lease_until = NULL, started_at = NULL
    WHERE state = 'running' AND lease_until <= ?4 AND (attempts >= ?5) = (?1 = 'dead')
  `)
  return (leaseUntilMs: number, maxAttempts: number, nowMs: number): void => {
    const lost = Number(record.run(LEASE_LOST, nowMs, leaseUntilMs).changes)
    if (lost === 0) return
    for (const state of ['pending', 'dead'] as const) {
      const { changes } = takeBack.run(state, nowMs, LEASE_LOST, leaseUntilMs, maxAttempts)
      tally.move('running', state, Number(changes))
    }
  }
}

/**
 * What a process that is gone had running becomes pending. Whether an attempt is left is the next claim's to say, which
 * knows the limit.
 */
export function takeBackAll(db: DatabaseSync, tally: Tally, nowMs: number): void {
  prepareTakeBack(db, tally)(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, nowMs)
}
