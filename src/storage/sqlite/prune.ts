import type { DatabaseSync } from 'node:sqlite'
import { DELIVERY_STATES } from '../../domain/delivery.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../common/keys.ts'
import { type Dedupe, firstHash, variantHash } from './dedupe.ts'
import type { PrunePosition, PruneStep } from './messages.ts'
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
  const isNeeded = db.prepare(
    "SELECT 1 FROM delivery WHERE key BETWEEN ? AND ? AND state IN ('pending', 'running') LIMIT 1",
  )
  const countStates = db.prepare('SELECT state, count(*) AS n FROM delivery WHERE key BETWEEN ? AND ? GROUP BY state')
  const deleteAttempts = db.prepare('DELETE FROM attempt WHERE delivery BETWEEN ? AND ?')
  const deleteDeliveries = db.prepare('DELETE FROM delivery WHERE key BETWEEN ? AND ?')
  const deleteBody = db.prepare('DELETE FROM event_body WHERE key = ?')
  const deleteEvent = db.prepare('DELETE FROM event WHERE key = ?')

  function forget(row: ReturnType<typeof select.all>[number]): void {
    const key = Number(row.key)
    const [source, id] = [String(row.source), String(row.id)]
    const deliveries = [firstDeliveryKey(key), lastDeliveryKey(key)] as const
    for (const { state, n } of countStates.all(...deliveries)) {
      const known = DELIVERY_STATES.find((each) => each === state)
      if (known !== undefined) tally.add(known, -Number(n))
    }
    deleteAttempts.run(...deliveries)
    deleteDeliveries.run(...deliveries)
    deleteBody.run(key)
    deleteEvent.run(key)
    dedupe.remove(row.variant === 0 ? firstHash(source, id) : variantHash(source, id, String(row.checksum)), key)
  }

  return (receivedBeforeMs: number, limit: number, from: PrunePosition | undefined): PruneStep => {
    const start = from ?? { receivedAtMs: Number.MIN_SAFE_INTEGER, key: 0 }
    const rows = select.all(receivedBeforeMs, start.receivedAtMs, start.key)
    const most = Math.min(limit, MAX_PRUNED)
    let pruned = 0
    let next: PrunePosition | undefined
    for (const row of rows) {
      if (pruned >= most) return { pruned, next }
      const key = Number(row.key)
      if (isNeeded.get(firstDeliveryKey(key), lastDeliveryKey(key)) === undefined) {
        forget(row)
        pruned++
      }
      next = { receivedAtMs: Number(row.received_at), key }
    }
    return { pruned, next: rows.length < MAX_LOOKED_AT ? undefined : next }
  }
}
