import type { DatabaseSync } from 'node:sqlite'
import { eventKeyOf, type Settled, STATE_AFTER, type Successor } from '../shared/deliveries.ts'
import { type EventRow, joinedReasons } from '../shared/events.ts'
import type { StateCounts } from './counts.ts'
import type { Damage } from './damage.ts'
import type { DeliveryOrder } from './delivery-order.ts'
import type { GiveUpId } from './id-successor.ts'
import type { RecordedAttempt, StoredSettlement } from './thread-messages.ts'

interface SettleParts {
  readonly giveUpId: GiveUpId
  readonly counts: StateCounts
  readonly damage: Damage
  readonly order: DeliveryOrder
}

/** A settlement of a delivery on a damaged page takes no effect. */
export function prepareSettle(db: DatabaseSync, { giveUpId, counts, damage, order }: SettleParts) {
  const recordAttempt = prepareRecordAttempt(db, damage)
  const hold = prepareHold(db, counts)
  const select = db.prepare(
    "SELECT attempts, last_error, handler, order_key FROM delivery WHERE key = ? AND state = 'running' AND lease = ?",
  )
  const update = db.prepare(`
    UPDATE delivery SET state = ?, due_at = ?, attempts = ?, isolated = ?, last_error = ?, cause = ?,
      lease = NULL, lease_until = NULL, started_at = NULL, held_for = NULL
    WHERE key = ?
  `)

  const findEvent = db.prepare('SELECT status, reasons FROM event WHERE key = ?')
  const quarantineEvent = db.prepare("UPDATE event SET status = 'quarantined', reasons = ? WHERE key = ?")

  function quarantine(eventKey: number, reasons: readonly string[]): void {
    const event = findEvent.get(eventKey) as Pick<EventRow, 'status' | 'reasons'> | undefined
    if (event !== undefined) quarantineEvent.run(joinedReasons(event, reasons), eventKey)
  }

  const successorOf = (eventKey: number, { routes }: StoredSettlement, nowMs: number): Successor | undefined =>
    damage.around(
      'the events with the id of event',
      eventKey,
      () => giveUpId(eventKey, routes, nowMs),
      () => undefined,
    )

  function settleOne(settlement: StoredSettlement, nowMs: number, successors: Successor[]): boolean {
    const { deliveryId, lease, verdict, outcome, isolate, dueAtMs, detail, startedAtMs, durationMs } = settlement
    const delivery = select.get(deliveryId, lease)
    if (delivery === undefined) return false
    if (verdict === 'held') return hold(settlement, nowMs)
    const number = Number(delivery.attempts)
    const state = STATE_AFTER[verdict]
    const error = settlement.error ?? null
    update.run(
      state,
      state === 'pending' ? dueAtMs : nowMs,
      verdict === 'released' ? number - 1 : number,
      state === 'pending' && isolate ? 1 : 0,
      verdict === 'released' ? (delivery.last_error ?? null) : error,
      settlement.causeKey ?? null,
      deliveryId,
    )
    recordAttempt({ delivery: deliveryId, number, outcome, error, detail, startedAtMs, durationMs })
    counts.move('running', state)
    if (delivery.order_key !== null && state !== 'pending')
      order.ended(String(delivery.handler), Number(delivery.order_key), nowMs)
    if (settlement.quarantine !== undefined) quarantine(eventKeyOf(deliveryId), settlement.quarantine)
    const successor = state === 'dead' ? successorOf(eventKeyOf(deliveryId), settlement, nowMs) : undefined
    if (successor !== undefined) successors.push(successor)
    return true
  }

  return (settlements: readonly StoredSettlement[], nowMs: number): Settled => {
    const successors: Successor[] = []
    const took = settlements.map((settlement) =>
      damage.around(
        'the end of delivery',
        settlement.deliveryId,
        () => settleOne(settlement, nowMs, successors),
        () => false,
      ),
    )
    return { took, successors }
  }
}

/** Puts a delivery of a paused source back as it was before its claim. */
function prepareHold(db: DatabaseSync, counts: StateCounts) {
  const findPause = db.prepare("SELECT 1 FROM pause WHERE kind = 'source' AND name = ?")
  const update = db.prepare(`
    UPDATE delivery SET state = 'pending', due_at = ?, held_for = ?, attempts = attempts - 1, lease = NULL, lease_until = NULL,
      started_at = NULL
    WHERE key = ?
  `)
  return ({ deliveryId, heldFor = '', dueAtMs }: StoredSettlement, nowMs: number): boolean => {
    const isPaused = findPause.get(heldFor) !== undefined
    update.run(isPaused ? dueAtMs : nowMs, isPaused ? heldFor : null, deliveryId)
    counts.move('running', 'pending')
    return true
  }
}

/** Adds an attempt to the history of its delivery, unless that lies on a damaged page. */
export function prepareRecordAttempt(db: DatabaseSync, damage: Damage): (attempt: RecordedAttempt) => void {
  const insert = db.prepare(`
    INSERT INTO attempt (delivery, ordinal, number, outcome, error, detail, started_at, duration_ms)
    VALUES (?1, 1 + coalesce((SELECT max(ordinal) FROM attempt WHERE delivery = ?1), 0), ?2, ?3, ?4, ?5, ?6, ?7)
  `)
  return ({ delivery, number, outcome, error, detail, startedAtMs, durationMs }) => {
    damage.around(
      'the history of delivery',
      delivery,
      () => insert.run(delivery, number, outcome, error, detail, startedAtMs, durationMs),
      () => undefined,
    )
  }
}
