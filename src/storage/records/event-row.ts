import type { LeasedDelivery } from '../../domain/delivery.ts'
import type { AskedUnder, NewEvent } from '../../domain/event.ts'
import type { Receipt } from '../../domain/store.ts'
import type { EndedTask, TaskEnding } from '../../domain/task.ts'
import type { WireError } from '../sqlite/thread-error.ts'
import { firstDeliveryKey } from './keys.ts'

/** An event without its body, which travels in one buffer with those of its batch. One flat row clones fastest. */
export type EventRow = readonly [
  uid: string,
  source: string,
  provider: string,
  id: string,
  type: string,
  createdAt: string,
  receivedAtMs: number,
  origin: NewEvent['origin'],
  status: NewEvent['status'],
  /** JSON. */
  reasons: string | null,
  task: string | null,
  apiVersion: string | null,
  /** JSON. */
  headers: string,
  traceparent: string | null,
  bodyBytes: number,
  handlers: readonly string[],
  taskEnd: TaskEnding | null,
  taskWord: string | null,
  asked: AskedUnder | null,
  /** Places in `handlers` of those whose deliveries are to be leased. */
  leased: readonly number[] | null,
  leaseMs: number | null,
  createdAtSource: NewEvent['created_at_source'],
  /** 1: a known body makes it a duplicate. */
  byBody: 1 | null,
  unjudged: readonly string[] | null,
]

export interface AppendBatch {
  readonly id: number
  readonly events: readonly EventRow[]
  /** All bodies, one after the other, and perhaps more behind them. One long body alone may be shared with other threads. */
  readonly bodies: ArrayBuffer | SharedArrayBuffer
  readonly bodyBytes: number
}

/** What goes over to another thread without a copy; what is shared needs none. */
export const transferable = ({ bodies }: AppendBatch): readonly ArrayBuffer[] =>
  bodies instanceof ArrayBuffer ? [bodies] : []

/** What became of an event, short of its deliveries. */
export interface Kept extends Omit<Receipt, 'leased'> {
  readonly ended?: EndedTask
  /** Of an event of which deliveries were leased: its key. The rest is known where the batch was made. */
  readonly leasedKey?: number
  /** Under which lease; absent: under the event's uid. */
  readonly lease?: string
}

/**
 * What became of each event of a batch. The common cases are short: null is accepted under its own uid, a number the same
 * with its deliveries leased as offered (`leasedKey`).
 */
export type AppendResult = null | number | Kept | WireError

export const rowOf = (event: NewEvent): EventRow => [
  event.uid,
  event.source,
  event.provider,
  event.id,
  event.type,
  event.created_at,
  event.receivedAtMs,
  event.origin,
  event.status,
  event.reasons.length > 0 ? JSON.stringify(event.reasons) : null,
  event.task ?? null,
  event.api_version ?? null,
  JSON.stringify(event.headers),
  event.traceparent ?? null,
  event.body.length,
  event.handlers,
  event.taskEnd?.status ?? null,
  event.taskEnd?.word ?? null,
  event.asked ?? null,
  event.lease === undefined || event.lease.handlers.length === 0
    ? null
    : event.lease.handlers.map((name) => event.handlers.indexOf(name)),
  event.lease?.leaseMs ?? null,
  event.created_at_source,
  event.dedupe === 'body' ? 1 : null,
  event.unjudged ?? null,
]

/** `event.variant` in both stores. */
export const FIRST = 0
export const CONFLICTING = 1
/** Quarantined when it came, or before any handler ran, and not understood since. */
export const NOT_UNDERSTOOD = 2
export type Variant = typeof FIRST | typeof CONFLICTING | typeof NOT_UNDERSTOOD

/** Why an event that was quarantined is not run when it is understood. */
export const takenBy = (uid: string): readonly string[] => [
  `event ${uid} came under this id, or with this body, and was understood before: replay this one again to run it all the same`,
]

/** What was leased of an event that has this key. No other lease is called as its uid. */
export const leasedOf = (
  { uid, handlers, lease: offer }: NewEvent,
  key: number,
  lease: string = uid,
): readonly LeasedDelivery[] =>
  (offer?.handlers ?? []).map((handler) => ({
    deliveryId: firstDeliveryKey(key) + handlers.indexOf(handler),
    lease,
    handler,
  }))

/** Whether an offer is one that can be taken: of handlers that the event is for, each once. */
export const isSoundOffer = ({ handlers, lease }: NewEvent): boolean =>
  lease === undefined ||
  lease.handlers.every((name, at) => handlers.includes(name) && lease.handlers.indexOf(name) === at)
