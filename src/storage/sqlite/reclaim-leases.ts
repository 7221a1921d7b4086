import type { DatabaseSync } from 'node:sqlite'
import type { ClaimRequest } from '../../domain/delivery-queue.ts'
import { LEASE_LOST } from '../shared/deliveries.ts'
import { StateCounts } from './counts.ts'
import { type Damage, DamagedPage } from './damage.ts'
import { type DeliveryOrder, prepareDeliveryOrder } from './delivery-order.ts'
import { isCorruption } from './errors.ts'

type AttemptLimits = Pick<ClaimRequest, 'maxAttempts' | 'ownLimits'>
const UNLIMITED: AttemptLimits = { maxAttempts: Number.MAX_SAFE_INTEGER }

/**
 * Reclaims the deliveries whose lease ended by `leaseUntilMs`: records the lost attempt in their history, and makes them
 * pending, or dead if no attempt is left. A delivery that is lost for the second time in a row runs alone, because it may be at
 * fault; the first time it may only have been running when the service ended. A delivery on a damaged page is left as it is.
 */
export function prepareReclaimExpired(db: DatabaseSync, counts: StateCounts, damage: Damage, order: DeliveryOrder) {
  const select = db.prepare(
    "SELECT key FROM delivery INDEXED BY delivery_running WHERE state = 'running' AND lease_until <= ?",
  )
  const record = db.prepare(`
    INSERT INTO attempt (delivery, ordinal, number, outcome, error, started_at, duration_ms)
    SELECT key, 1 + coalesce((SELECT max(ordinal) FROM attempt WHERE delivery = delivery.key), 0),
      attempts, 'lease_lost', ?, started_at, max(0, ? - started_at)
    FROM delivery WHERE key = ?
  `)
  const reclaim = db.prepare(`
    UPDATE delivery SET state = CASE WHEN attempts >= ?1 THEN 'dead' ELSE 'pending' END, due_at = ?2,
      isolated = isolated OR last_error IS ?3, last_error = ?3, lease = NULL, lease_until = NULL, started_at = NULL
    WHERE key = ?4 RETURNING state
  `)

  const handlerOf = db.prepare('SELECT handler FROM delivery WHERE key = ?')

  function maxAttemptsOf(key: number, { maxAttempts, ownLimits }: AttemptLimits): number {
    if (ownLimits === undefined) return maxAttempts
    const handler = handlerOf.get(key)?.handler
    return ownLimits.find((own) => own.handler === handler)?.maxAttempts ?? maxAttempts
  }

  function reclaimOne(key: number, maxAttempts: number, nowMs: number): void {
    damage.around(
      'the history of delivery',
      key,
      () => record.run(LEASE_LOST, nowMs, key),
      () => undefined,
    )
    const state = reclaim.get(maxAttempts, nowMs, LEASE_LOST, key)?.state
    counts.move('running', state === 'dead' ? 'dead' : 'pending')
    if (state === 'dead') order.endedAt(key, nowMs)
  }

  return (leaseUntilMs: number, limits: AttemptLimits, nowMs: number): void => {
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
        () => reclaimOne(Number(key), maxAttemptsOf(Number(key), limits), nowMs),
        () => undefined,
      )
  }
}

/**
 * Releases all leases of the process that had the database open before. Its deliveries become pending; the next claim, which
 * knows the limit of attempts, decides whether an attempt is left. Rows on damaged pages are left as they are.
 */
export function reclaimAllLeases(db: DatabaseSync, damage: Damage, nowMs: number): void {
  const counts = new StateCounts(db)
  for (;;) {
    try {
      db.exec('BEGIN IMMEDIATE')
      prepareReclaimExpired(
        db,
        counts,
        damage,
        prepareDeliveryOrder(db, damage),
      )(Number.MAX_SAFE_INTEGER, UNLIMITED, nowMs)
      releaseAllTasks(db, damage, nowMs)
      counts.write()
      db.exec('COMMIT')
      return
    } catch (error) {
      counts.forget()
      if (db.isTransaction) db.exec('ROLLBACK')
      if (isCorruption(error) && damage.mended(error)) continue
      if (!(error instanceof DamagedPage && damage.avoid(error))) throw error
    }
  }
}

/** Releases the leases of all tasks. Such a task is due at once, or, if it is pending, when it becomes stale. */
export function releaseAllTasks(db: DatabaseSync, damage: Damage, nowMs: number): void {
  const live = db.prepare('SELECT key FROM task INDEXED BY task_expiring WHERE ended_at IS NULL')
  const release = db.prepare(`
    UPDATE task SET due_at = min(CASE status WHEN 'pending' THEN max(?1, stale_at) ELSE ?1 END, expires_at)
    WHERE key = ?2 AND lease IS NOT NULL
  `)
  for (const { key } of live.all())
    damage.around(
      'the lease of task',
      Number(key),
      () => release.run(nowMs, Number(key)),
      () => undefined,
    )
}
