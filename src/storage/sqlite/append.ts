import { hash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { EventStatus } from '../../domain/event.ts'
import { orderKeyFor } from '../../domain/order-key.ts'
import { firstDeliveryKey, offeredLeaseMs, storedOrderKeys } from '../shared/deliveries.ts'
import { CONFLICTING, type Variant } from '../shared/events.ts'
import type { StateCounts } from './counts.ts'
import type { DeliveryOrder } from './delivery-order.ts'
import type { EndTask } from './end-task.ts'
import type { Identities } from './event-identity.ts'
import type { IdentityIndex } from './identity-index.ts'
import type { IndexWriter } from './payload-index.ts'
import type { RepeatCounter } from './repeats.ts'
import type { IncomingEvent, WireResult } from './thread-event.ts'

/** Appends events in the open transaction, each under the next key. */
interface Appender {
  /** Stores one event. The leases of the deliveries that it offers start at `nowMs`. */
  append(event: IncomingEvent, body: Uint8Array, nowMs: number): WireResult
  rolledBack(): void
  /** The key of the last event that is committed. */
  lastKey(): number
  committed(): void
}

interface AppendParts {
  readonly dedupe: IdentityIndex
  readonly identities: Identities
  readonly counts: StateCounts
  readonly endTask: EndTask
  readonly order: DeliveryOrder
  readonly index: Pick<IndexWriter, 'add'>
  readonly repeats: Pick<RepeatCounter, 'note'>
}

export function prepareAppend(db: DatabaseSync, parts: AppendParts): Appender {
  const { dedupe, identities, endTask } = parts
  const insert = prepareInsert(db, parts)
  let committedKey = dedupe.lastKey()
  let lastKey = committedKey

  return {
    append(event, body, nowMs) {
      const { uid } = event
      const effect = endTask.effectOf(event)
      if (effect.kind === 'fenced') return { outcome: 'fenced', uid }
      const checksum = hash('sha256', body)
      const standing = identities.standingOf(event, checksum)
      if (standing.kind !== 'new') {
        const { kind: outcome, key, ...known } = standing
        parts.repeats.note(key, event.receivedAtMs, event.receivedFrom)
        return { outcome, ...known }
      }
      const { variant } = standing
      const outcome = variant === CONFLICTING ? 'conflict' : effect.kind === 'superseded' ? 'superseded' : 'accepted'
      const status = outcome === 'accepted' ? event.status : outcome
      const key = lastKey + 1
      if (!insert(key, event, body, { checksum, variant, status }, nowMs))
        return { error: 'invalid_request', message: `uid ${uid} is taken` }
      lastKey = key
      if (outcome !== 'accepted') return { outcome, uid }
      const leasedKey = event.leased === null ? null : lastKey
      if (effect.kind !== 'ends') return leasedKey
      const ended = endTask.resolve(effect.task, effect.end, effect.taskLease, uid, event.receivedAtMs)
      return { outcome, uid, ended, ...(leasedKey !== null && { leasedKey }) }
    },
    lastKey: () => committedKey,
    committed() {
      committedKey = lastKey
    },
    rolledBack() {
      lastKey = committedKey
    },
  }
}

/** What has been decided about an event before it is stored. */
interface Classified {
  readonly checksum: string
  readonly variant: Variant
  readonly status: EventStatus
}

const INSERT_EVENT = `
  INSERT INTO event (key, uid, source, provider, id, variant, type, created_at, received_at, origin, status, reasons, task,
    api_version, headers, traceparent, checksum, size, task_end, task_word, created_at_source, by_body, order_keys,
    received_from, verified_by)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (uid) DO NOTHING
`

/** Inserts an event with its body and its deliveries. Returns false if its uid is taken. */
function prepareInsert(db: DatabaseSync, { dedupe, counts, order, index }: AppendParts) {
  const insertEvent = db.prepare(INSERT_EVENT)
  const insertBody = db.prepare('INSERT INTO event_body (key, bytes) VALUES (?, ?)')
  const insertDelivery = db.prepare(`
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated, order_key) VALUES (?, ?, ?, ?, 0, 0, ?)
  `)
  const insertLeased = db.prepare(`
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated, lease, lease_until, started_at)
    VALUES (?, ?, 'running', ?, 1, 0, ?, ?, ?)
  `)

  return (key: number, event: IncomingEvent, body: Uint8Array, kept: Classified, nowMs: number): boolean => {
    const { source, id } = event
    const { checksum, variant, status } = kept
    const { changes } = insertEvent.run(
      key,
      event.uid,
      source,
      event.provider,
      id,
      variant,
      event.type,
      event.createdAt,
      event.receivedAtMs,
      event.origin,
      status,
      event.reasons,
      event.task,
      event.apiVersion,
      event.headers,
      event.traceparent,
      checksum,
      body.length,
      event.taskEnd,
      event.taskWord,
      event.createdAtSource,
      variant === CONFLICTING ? null : event.byBody,
      variant === CONFLICTING ? storedOrderKeys(event.orderKeys ?? undefined) : null,
      event.receivedFrom,
      event.verifiedBy,
    )
    if (changes === 0) return false
    insertBody.run(key, body)
    dedupe.add(key, { source, id, checksum, variant })
    if (event.indexed !== null) index.add(key, source, event.indexed)
    if (status !== 'conflict' && status !== 'superseded') insertDeliveries(key, event, nowMs)
    return true
  }

  function insertDeliveries(eventKey: number, event: IncomingEvent, nowMs: number): void {
    const { uid, handlers, orderKeys, receivedAtMs: dueAtMs, leased, leaseMs } = event
    const firstKey = firstDeliveryKey(eventKey)
    handlers.forEach((handler, place) => {
      const at = leased?.indexOf(place) ?? -1
      if (at < 0) {
        const orderKey = orderKeys === null ? null : orderKeyFor(orderKeys, handler)
        insertDelivery.run(firstKey + place, handler, order.stateOf(handler, orderKey), dueAtMs, orderKey)
      } else {
        const untilMs = nowMs + offeredLeaseMs(leaseMs ?? 0, at)
        insertLeased.run(firstKey + place, handler, dueAtMs, uid, untilMs, nowMs)
      }
    })
    const running = leased?.length ?? 0
    if (running > 0) counts.add('running', running)
    if (handlers.length > running) counts.add('pending', handlers.length - running)
  }
}
