import type { Work } from '../../domain/delivery.ts'
import type { Replay, Replayed } from '../../domain/delivery-queue.ts'
import { HoldfastError, messageOf } from '../../domain/errors.ts'
import type { CreatedAtSource, EventStatus, EventSummary, NewEvent, Origin, VerifiedBy } from '../../domain/event.ts'
import type { EventDetail, EventForm } from '../../domain/event-store.ts'
import { MAX_REASONS } from '../../domain/limits.ts'
import { type AttemptRow, attemptOf, type DeliveryRow, deliverySummaryOf } from './deliveries.ts'
import { OUTCOME_RANK, outcomeAt } from './outcomes.ts'

/** How both stores read a row of an event, and the rules for events that do not depend on the database. */

/**
 * `event.variant`: whether the event has its id, is in conflict about its id, or was not understood: it was quarantined when it
 * came, or before any handler ran, and no replay has understood it since.
 */
export const FIRST = 0
export const CONFLICTING = 1
export const NOT_UNDERSTOOD = 2
export type Variant = typeof FIRST | typeof CONFLICTING | typeof NOT_UNDERSTOOD

export type EventRow = Readonly<{
  key: number
  uid: string
  source: string
  provider: string
  id: string
  type: string
  created_at: string
  created_at_source: CreatedAtSource | null
  received_at: number
  origin: Origin
  status: EventStatus
  /** JSON. */
  reasons: string | null
  task: string | null
  api_version: string | null
  size: number
  /** Absent: it was not read. */
  outcome_rank?: number
}>

/** The columns of an `EventRow`, of the table `event`, but for its outcome. */
export const STORED_COLUMNS = `event.key, event.uid, event.source, event.provider, event.id, event.type, event.created_at,
  event.created_at_source, event.received_at, event.origin, event.status, event.reasons, event.task, event.api_version, event.size`
export const EVENT_COLUMNS = `${STORED_COLUMNS}, ${OUTCOME_RANK} AS outcome_rank`

export type EventDetailRow = EventRow &
  Readonly<{
    checksum: string
    /** JSON; null if the row of the body is missing. */
    headers: string | null
    traceparent: string | null
    received_from: string | null
    verified_by: string | null
    /** Absent: they were not read. */
    repeats?: number | null
    repeated_at?: number
    repeated_from?: string | null
  }>

/** Beside `STORED_COLUMNS`, for one event. */
export const RECEIVED_COLUMNS = 'event.received_from, event.verified_by'
export const REPEAT_COLUMNS = 'again.n AS repeats, again.last_at AS repeated_at, again.last_from AS repeated_from'
/** The table `again` of `REPEAT_COLUMNS`. */
export const WITH_REPEATS = 'LEFT JOIN event_repeat AS again ON again.key = event.key'

/** `event.verified_by`. */
export const storedVerifiedBy = ({ verifiedBy }: Pick<NewEvent, 'verifiedBy'>): string | null =>
  verifiedBy === undefined ? null : `${verifiedBy.secret}/${verifiedBy.of}`

function verifiedByOf(stored: string): VerifiedBy {
  const [secret, of] = stored.split('/').map(Number)
  return { secret: secret ?? 0, of: of ?? 0 }
}

function repeatsOf(row: EventDetailRow): Pick<EventDetail, 'repeats'> {
  const { repeats: times, repeated_at: lastAtMs = 0, repeated_from: lastFrom } = row
  if (times === null || times === undefined) return {}
  return { repeats: { times, lastAtMs, ...(typeof lastFrom === 'string' && { lastFrom }) } }
}

export const eventSummaryOf = (row: EventRow): EventSummary => ({
  uid: row.uid,
  source: row.source,
  provider: row.provider,
  id: row.id,
  type: row.type,
  createdAt: row.created_at,
  ...(row.created_at_source !== null && { createdAtSource: row.created_at_source }),
  receivedAtMs: row.received_at,
  origin: row.origin,
  status: row.status,
  ...(row.outcome_rank !== undefined && { outcome: outcomeAt(row.outcome_rank) }),
  reasons: row.reasons === null ? [] : (JSON.parse(row.reasons) as string[]),
  ...(row.api_version !== null && { apiVersion: row.api_version }),
  ...(row.task !== null && { task: row.task }),
  sizeBytes: row.size,
})

/** The part of a row that says how to read the body of the event. */
export function eventFormOf(row: EventDetailRow): EventForm {
  const headers = JSON.parse(row.headers ?? '{}') as Record<string, string>
  const { source, id, type, origin, task, received_at: receivedAtMs } = row
  return { source, id, type, origin, ...(task !== null && { task }), headers, receivedAtMs }
}

export const eventDetailOf = (
  row: EventDetailRow,
  deliveries: readonly DeliveryRow[],
  attemptsOf: (deliveryKey: number) => readonly AttemptRow[],
): EventDetail => ({
  ...eventSummaryOf(row),
  headers: JSON.parse(row.headers ?? '{}') as Record<string, string>,
  ...(row.traceparent !== null && { traceparent: row.traceparent }),
  ...(row.received_from !== null && { receivedFrom: row.received_from }),
  ...(row.verified_by !== null && { verifiedBy: verifiedByOf(row.verified_by) }),
  ...repeatsOf(row),
  checksum: row.checksum,
  deliveries: deliveries.map((delivery) => ({
    ...deliverySummaryOf(delivery, row),
    history: attemptsOf(delivery.key).map(attemptOf),
  })),
})

/** The row of a claimed delivery's event. */
export type WorkEventRow = Pick<
  EventRow,
  'uid' | 'source' | 'provider' | 'id' | 'type' | 'received_at' | 'origin' | 'task'
> & { readonly traceparent: string | null }

/** The event of a claimed delivery, with its headers in whatever form they are given. */
export const workEventOf = <Given>(
  row: WorkEventRow,
  headers: Given,
): Omit<Work['event'], 'headers'> & { readonly headers: Given } => ({
  uid: row.uid,
  source: row.source,
  provider: row.provider,
  id: row.id,
  type: row.type,
  receivedAtMs: row.received_at,
  origin: row.origin,
  headers,
  ...(row.task !== null && { task: row.task }),
  ...(row.traceparent !== null && { traceparent: row.traceparent }),
})

/** `event.reasons`. */
export const storedReasons = (reasons: readonly string[]): string | null =>
  reasons.length === 0 ? null : JSON.stringify(reasons)

/** `event.reasons` of an event that is quarantined, perhaps not for the first time: the earlier reasons and the new ones. */
export function joinedReasons(
  { status, reasons: stored }: Pick<EventRow, 'status' | 'reasons'>,
  added: readonly string[],
): string {
  const known = status === 'quarantined' && stored !== null ? (JSON.parse(stored) as string[]) : []
  return JSON.stringify([...new Set([...known, ...added])].slice(0, MAX_REASONS))
}

/**
 * The status and the reasons of an event after its replay. `taker`: the uid of the event that already has the id or the body of
 * the replayed event, if there is one.
 */
export const replayedAs = ({ status, reasons }: Replay, taker: string | undefined): Omit<Replayed, 'handlers'> =>
  taker === undefined ? { status, reasons } : { status: 'conflict', reasons: takenBy(taker) }

/** The reason of a conflict: a quarantined event is replayed and understood, but event `uid` already has its id or its body. */
export const takenBy = (uid: string): readonly string[] => [
  `event ${uid} came under this id, or with this body, and was understood earlier: replay this event once more to run its handlers anyway`,
]

export const noSuchEvent = (uid: string): HoldfastError =>
  new HoldfastError('event_not_found', `there is no event ${uid}`)

export const bodyUnreadable = (uid: string, error: unknown): HoldfastError =>
  new HoldfastError('body_corrupt', `the stored body of ${uid} cannot be read: ${messageOf(error)}`, { cause: error })

export const bodyChanged = (uid: string): HoldfastError =>
  new HoldfastError('body_corrupt', `the stored body of ${uid} no longer matches its checksum`)
