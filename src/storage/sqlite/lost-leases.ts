import type { DatabaseSync } from 'node:sqlite'
import { LEASE_LOST } from '../records/settlement.ts'
import type { Damage } from './damage.ts'
import type { Tally } from './tally.ts'

/**
 * Takes back deliveries whose lease ran out by `leaseUntilMs`: the attempt is in their history as lost, and they are
 * pending, or dead where no attempt is left. A delivery runs alone if its last attempt was lost too: then it may be to
 * blame; once, it need have done nothing but run when the service ended. One that lies on a damaged page is left as it is.
 */
export function prepareTakeBack(db: DatabaseSync, tally: Tally, damage: Damage) {
  const select = db.prepare(
    "SELECT key FROM delivery INDEXED BY delivery_running WHERE state = 'running' AND lease_until <= ?",
  )
  const record = db.prepare(`
    INSERT INTO attempt (delivery, ordinal, number, outcome, error, started_at, duration_ms)
    SELECT key, 1 + coalesce((SELECT max(ordinal) FROM attempt WHERE delivery = delivery.key), 0),
      attempts, 'lease_lost', ?, started_at, max(0, ? - started_at)
    FROM delivery WHERE key = ?
  `)
  const takeBack = db.prepare(`
    UPDATE delivery SET state = CASE WHEN attempts >= ?1 THEN 'dead' ELSE 'pending' END, due_at = ?2,
      isolated = isolated OR last_error IS ?3, last_error = ?3, lease = NULL, lease_until = NULL, started_at = NULL
    WHERE key = ?4 RETURNING state
  `)

  function takeBackOne(key: number, maxAttempts: number, nowMs: number): void {
    damage.around(
      'the history of delivery',
      key,
      () => record.run(LEASE_LOST, nowMs, key),
      () => undefined,
    )
    const state = takeBack.get(maxAttempts, nowMs, LEASE_LOST, key)?.state
    tally.move('running', state === 'dead' ? 'dead' : 'pending')
  }

  return (leaseUntilMs: number, maxAttempts: number, nowMs: number): void => {
    const lost = damage.around(
      'the leases that ran out',
      '',
      () => select.all(leaseUntilMs),
      () => [],
    )
    for (const { key } of lost)
      damage.around(
        'the lost lease of delivery',
        Number(key),
        () => takeBackOne(Number(key), maxAttempts, nowMs),
        () => undefined,
      )
  }
}

/**
 * What a process that is gone had running becomes pending. Whether an attempt is left is the next claim's to say, which
 * knows the limit.
 */
export function takeBackAll(db: DatabaseSync, tally: Tally, damage: Damage, nowMs: number): void {
  prepareTakeBack(db, tally, damage)(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, nowMs)
}
