import type { DatabaseSync } from 'node:sqlite'
import { DELIVERY_STATES } from '../../domain/delivery.ts'
import { MAX_DEAD_LOOKED_AT, type PrunePosition, type PruneRequest, type PruneStep } from '../../domain/upkeep.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../common/keys.ts'
import { type Dedupe, firstHash, variantHash } from './dedupe.ts'
import type { Tally } from './tally.ts'

/** Events looked at in one commit, and forgotten in it: no append waits for more. */
const MAX_LOOKED_AT = 512
const MAX_PRUNED = 64

/** Forgets old events, one step of a walk from the oldest on. */
export function preparePrune(db: DatabaseSync, dedupe: Dedupe, tally: Tally) {
  const select = db.prepare(`
    SELECT key, received_at, source, id, variant, checksum FROM event
    WHERE received_at < ?1 AND received_at >= ?2 AND (received_at, key) > (?2, ?3)
    ORDER BY received_at, key LIMIT ${MAX_LOOKED_AT}
  `)
  const countStates = db.prepare('SELECT state, count(*) AS n FROM delivery WHERE key BETWEEN ? AND ? GROUP BY state')
  const deleteAttempts = db.prepare('DELETE FROM attempt WHERE delivery BETWEEN ? AND ?')
  const deleteDeliveries = db.prepare('DELETE FROM delivery WHERE key BETWEEN ? AND ?')
  const deleteBody = db.prepare('DELETE FROM event_body WHERE key = ?')
  const deleteEvent = db.prepare('DELETE FROM event WHERE key = ?')

  const countsOf = (key: number): ReadonlyMap<unknown, number> =>
    new Map(
      countStates.all(firstDeliveryKey(key), lastDeliveryKey(key)).map(({ state, n }) => [state, Number(n)] as const),
    )

  function forget(row: ReturnType<typeof select.all>[number], counts: ReadonlyMap<unknown, number>): void {
    const key = Number(row.key)
    const [source, id] = [String(row.source), String(row.id)]
    const deliveries = [firstDeliveryKey(key), lastDeliveryKey(key)] as const
    for (const state of DELIVERY_STATES) tally.add(state, -(counts.get(state) ?? 0))
    deleteAttempts.run(...deliveries)
    deleteDeliveries.run(...deliveries)
    deleteBody.run(key)
    deleteEvent.run(key)
    dedupe.remove(row.variant === 0 ? firstHash(source, id) : variantHash(source, id, String(row.checksum)), key)
  }

  return ({ receivedBeforeMs, deadReceivedBeforeMs, limit, from }: PruneRequest): PruneStep => {
    const start = from ?? { receivedAtMs: Number.MIN_SAFE_INTEGER, key: 0 }
    const rows = select.all(receivedBeforeMs, start.receivedAtMs, start.key)
    const most = Math.min(limit, MAX_PRUNED)
    let events = 0
    let dead = 0
    let next: PrunePosition | undefined = from
    for (const row of rows) {
      if (events >= most) return { events, dead, next }
      const [key, receivedAtMs] = [Number(row.key), Number(row.received_at)]
      const counts = countsOf(key)
      const isKept = counts.has('dead') && receivedAtMs >= deadReceivedBeforeMs
      if (!isKept && !counts.has('pending') && !counts.has('running')) {
        forget(row, counts)
        events++
        dead += counts.get('dead') ?? 0
      }
      next = { receivedAtMs, key }
    }
    return { events, dead, next: rows.length < MAX_LOOKED_AT ? undefined : next }
  }
}

export function prepareCountDead(db: DatabaseSync): (receivedBeforeMs: number) => number {
  const select = db.prepare(`
    SELECT count(*) AS n FROM (SELECT key FROM delivery WHERE state = 'dead' ORDER BY due_at LIMIT ${MAX_DEAD_LOOKED_AT}) AS dead
    CROSS JOIN event ON event.key = dead.key / 1024 WHERE event.received_at < ?
  `)
  return (receivedBeforeMs) => Number(select.get(receivedBeforeMs)?.n ?? 0)
}
