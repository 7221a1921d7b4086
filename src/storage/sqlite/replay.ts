import type { DatabaseSync } from 'node:sqlite'
import type { Replay, Replayed } from '../../domain/delivery-queue.ts'
import { orderKeyFor } from '../../domain/order-key.ts'
import {
  type DeliveryRow,
  firstDeliveryKey,
  lastDeliveryKey,
  planReplay,
  storedOrderKeys,
} from '../shared/deliveries.ts'
import { NOT_UNDERSTOOD, noSuchEvent, replayedAs, storedReasons } from '../shared/events.ts'
import type { StateCounts } from './counts.ts'
import type { DeliveryOrder } from './delivery-order.ts'
import type { Identities } from './event-identity.ts'

export function prepareReplay(db: DatabaseSync, identities: Identities, deliver: Deliver) {
  const findEvent = db.prepare('SELECT key, variant FROM event WHERE uid = ?')
  const updateEvent = db.prepare('UPDATE event SET status = ?, reasons = ?, order_keys = ? WHERE key = ?')

  /** The uid of the event that has the id or the body of the replayed event, which therefore cannot take its id. */
  function takerOf(event: NonNullable<ReturnType<typeof findEvent.get>>, status: Replay['status']): string | undefined {
    if (event.variant !== NOT_UNDERSTOOD || status === 'quarantined') return undefined
    return identities.understand(Number(event.key))
  }

  return (replay: Replay, nowMs: number): Replayed => {
    const { eventUid } = replay
    const event = findEvent.get(eventUid)
    if (event === undefined) throw noSuchEvent(eventUid)
    const eventKey = Number(event.key)
    const taker = takerOf(event, replay.status)
    const become = replayedAs(replay, taker)
    const orderKeys = taker === undefined ? null : storedOrderKeys(replay.orderKeys)
    updateEvent.run(become.status, storedReasons(become.reasons), orderKeys, eventKey)
    if (taker !== undefined) return { ...become, handlers: [] }

    return { ...become, handlers: deliver(eventKey, replay, nowMs) }
  }
}

/** Makes an event's deliveries to these handlers pending, as `DeliveryQueue.replay` says. Returns the handlers that will run. */
export type Deliver = (
  eventKey: number,
  to: Pick<Replay, 'handlers' | 'orderKeys' | 'only'>,
  nowMs: number,
) => readonly string[]

export function prepareDeliver(db: DatabaseSync, counts: StateCounts, order: DeliveryOrder): Deliver {
  const findDeliveries = db.prepare('SELECT key, handler, state FROM delivery WHERE key BETWEEN ? AND ? ORDER BY key')
  const restart = db.prepare(`
    UPDATE delivery SET state = ?, due_at = ?, attempts = 0, isolated = 0, last_error = NULL, cause = NULL, order_key = ? WHERE key = ?
  `)
  const create = db.prepare(`
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated, order_key) VALUES (?, ?, ?, ?, 0, 0, ?)
  `)

  return (eventKey, { handlers, orderKeys, only }, nowMs) => {
    const existing = findDeliveries.all(firstDeliveryKey(eventKey), lastDeliveryKey(eventKey)) as DeliveryRow[]
    const plan = planReplay(eventKey, existing, handlers, only)
    for (const delivery of plan) {
      const orderKey = orderKeyFor(orderKeys, delivery.handler)
      const state = order.stateOf(delivery.handler, orderKey)
      if (delivery.kind === 'create') {
        create.run(delivery.key, delivery.handler, state, nowMs, orderKey)
        counts.add('pending')
      } else {
        restart.run(state, nowMs, orderKey, delivery.key)
        counts.move(delivery.from, 'pending')
      }
    }
    return plan.map(({ handler }) => handler)
  }
}
