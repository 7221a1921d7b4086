import type { DatabaseSync } from 'node:sqlite'
import type { Replay, Replayed } from '../../domain/delivery-queue.ts'
import { orderKeyFor } from '../../domain/order-key.ts'
import {
  firstDeliveryKey,
  lastDeliveryKey,
  planReplay,
  type ReplayableRow,
  replayableColumns,
  storedOrderKeys,
} from '../shared/deliveries.ts'
import { NOT_UNDERSTOOD, noSuchEvent, replayedAs, storedReasons } from '../shared/events.ts'
import type { JobReplay } from '../shared/replays.ts'
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

  return (replay: JobReplay, nowMs: number): Replayed => {
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
  to: Omit<JobReplay, 'eventUid' | 'status' | 'reasons'>,
  nowMs: number,
) => readonly string[]

export function prepareDeliver(db: DatabaseSync, counts: StateCounts, order: DeliveryOrder): Deliver {
  const findDeliveries = db.prepare(
    `SELECT ${replayableColumns('?3')} FROM delivery WHERE key BETWEEN ?1 AND ?2 ORDER BY key`,
  )
  const restart = db.prepare(`
    UPDATE delivery SET state = ?, due_at = ?, attempts = 0, isolated = 0, last_error = NULL, cause = NULL, order_key = ?,
      replay = ? WHERE key = ?
  `)
  const hasten = db.prepare('UPDATE delivery SET due_at = ?, attempts = 0, replay = coalesce(?, replay) WHERE key = ?')
  const create = db.prepare(`
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated, order_key, replay) VALUES (?, ?, ?, ?, 0, 0, ?, ?)
  `)
  const keepOutcome = db.prepare(`
    INSERT INTO replay_tally (replay, handler, state, n) SELECT replay, handler, state, 1 FROM delivery
    WHERE key = ? AND replay IN (SELECT key FROM replay) ON CONFLICT DO UPDATE SET n = n + 1
  `)
  const mark = db.prepare(`
    INSERT INTO replay_mark (delivery, ordinal, replay)
    VALUES (?1, 1 + coalesce((SELECT max(ordinal) FROM attempt WHERE delivery = ?1), 0), ?2)
    ON CONFLICT DO UPDATE SET replay = excluded.replay
  `)

  return (eventKey, { orderKeys, id = null, job = null, ...to }, nowMs) => {
    const existing = findDeliveries.all(firstDeliveryKey(eventKey), lastDeliveryKey(eventKey), nowMs) as ReplayableRow[]
    const plan = planReplay(eventKey, existing, to)
    for (const delivery of plan) {
      if (delivery.kind !== 'create' || id !== null) mark.run(delivery.key, id)
      if (delivery.kind === 'hasten') {
        hasten.run(nowMs, job, delivery.key)
        continue
      }
      const orderKey = orderKeyFor(orderKeys, delivery.handler)
      const state = order.stateOf(delivery.handler, orderKey)
      if (delivery.kind === 'create') {
        create.run(delivery.key, delivery.handler, state, nowMs, orderKey, job)
        counts.add('pending')
      } else {
        keepOutcome.run(delivery.key)
        restart.run(state, nowMs, orderKey, job, delivery.key)
        counts.move(delivery.from, 'pending')
      }
    }
    return plan.map(({ handler }) => handler)
  }
}
