import type { DatabaseSync } from 'node:sqlite'
import type { Damage } from './damage.ts'

/** How many order keys one repair looks at; the next one goes on from there. */
const MAX_LOOKED_AT = 1_000
/** Time between two repairs that go on, and between the end of a round over all order keys and the next round. */
const STEP_MS = 1_000
const ROUND_MS = 30_000

/** Keeps the order of `DeliveryQueue`, within the open transaction: of each handler and order key, all but one delivery is blocked. */
export interface DeliveryOrder {
  /** The state of a delivery that is about to be created or to run again. */
  stateOf(handler: string, orderKey: number | null): 'pending' | 'blocked'
  /** To be called after a delivery has succeeded or died: makes the next one due. */
  ended(handler: string, orderKey: number | null, nowMs: number): void
  /** The same for a delivery by its key. */
  endedAt(deliveryKey: number, nowMs: number): void
  /** From time to time, looks for blocked deliveries without a head. */
  repair(nowMs: number): void
}

/** The condition of the index `delivery_order`: every search that is to use it names it. */
export const IS_OPEN_IN_ORDER = "order_key IS NOT NULL AND state IN ('pending', 'running', 'blocked')"

export function prepareDeliveryOrder(db: DatabaseSync, damage: Damage): DeliveryOrder {
  // Not by one IN: it would walk over the blocked ones, too.
  const headIn = (state: string) =>
    `EXISTS (SELECT 1 FROM delivery WHERE ${IS_OPEN_IN_ORDER} AND handler = ?1 AND order_key = ?2 AND state = '${state}')`
  const findHead = db.prepare(`SELECT 1 WHERE ${headIn('pending')} OR ${headIn('running')}`)
  const findNext = db.prepare(
    `SELECT key FROM delivery WHERE ${IS_OPEN_IN_ORDER} AND handler = ? AND order_key = ? AND state = 'blocked' AND key > ? ORDER BY key LIMIT 1`,
  )
  const unblock = db.prepare("UPDATE delivery SET state = 'pending', due_at = ? WHERE key = ? AND state = 'blocked'")
  const findLine = db.prepare('SELECT handler, order_key FROM delivery WHERE key = ?')

  function release(handler: string, orderKey: number, nowMs: number): void {
    if (findHead.get(handler, orderKey) !== undefined) return
    for (let after = Number.MIN_SAFE_INTEGER; ; ) {
      const key = findNext.get(handler, orderKey, after)?.key
      if (typeof key !== 'number') return
      // Passes over a delivery on a damaged page.
      const isReleased = damage.around(
        'the turn of delivery',
        key,
        () => unblock.run(nowMs, key).changes > 0,
        () => false,
      )
      if (isReleased) return
      after = key
    }
  }

  function ended(handler: string, orderKey: number | null, nowMs: number): void {
    if (orderKey === null) return
    damage.around(
      `the order ${orderKey} of the deliveries of`,
      handler,
      () => release(handler, orderKey, nowMs),
      () => undefined,
    )
  }

  return {
    stateOf: (handler, orderKey) =>
      orderKey !== null && findHead.get(handler, orderKey) !== undefined ? 'blocked' : 'pending',
    ended,
    endedAt(deliveryKey, nowMs) {
      const line = findLine.get(deliveryKey)
      if (typeof line?.order_key === 'number') ended(String(line.handler), line.order_key, nowMs)
    },
    repair: prepareRepair(db, damage, ended),
  }
}

/** Steps from order key to order key through the index, and makes the first blocked delivery the head where there is none. */
function prepareRepair(db: DatabaseSync, damage: Damage, release: DeliveryOrder['ended']): DeliveryOrder['repair'] {
  const findLineAfter = db.prepare(
    `SELECT handler, order_key FROM delivery WHERE ${IS_OPEN_IN_ORDER} AND (handler, order_key) > (?, ?) ORDER BY handler, order_key LIMIT 1`,
  )
  let at = FIRST_LINE
  let nextAtMs = Number.NEGATIVE_INFINITY

  /** Returns when the next repair is due. */
  function repairSome(nowMs: number): number {
    for (let looked = 0; looked < MAX_LOOKED_AT; looked++) {
      const line = findLineAfter.get(at.handler, at.orderKey)
      if (line === undefined) {
        at = FIRST_LINE
        return nowMs + ROUND_MS
      }
      at = { handler: String(line.handler), orderKey: Number(line.order_key) }
      release(at.handler, at.orderKey, nowMs)
    }
    return nowMs + STEP_MS
  }

  return (nowMs) => {
    // After the clock went back, a repair does not wait until it has caught up.
    if (nowMs < nextAtMs && nextAtMs <= nowMs + ROUND_MS) return
    nextAtMs = damage.around(
      'the deliveries',
      'in an order',
      () => repairSome(nowMs),
      () => nowMs + ROUND_MS,
    )
  }
}

/** Before the first order key. */
const FIRST_LINE = { handler: '', orderKey: -1 }
