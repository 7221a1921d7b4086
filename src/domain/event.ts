import type { OrderKeys } from './order-key.ts'
import type { EventOutcome } from './outcome.ts'
import type { IndexedValue } from './payload-index.ts'
import type { TaskEnd } from './task.ts'
import type { Question } from './task-question.ts'

/** How an event came to Holdfast. `sample`: an operator had the service make it, to see that it is handled. */
export const ORIGINS = ['webhook', 'poll', 'cli', 'sample'] as const
export type Origin = (typeof ORIGINS)[number]

/**
 * The status of an event:
 * - `accepted`: readable and valid, and at least one handler wants it;
 * - `unhandled`: readable and stored, but no handler wants its type (a replay routes it again);
 * - `quarantined`: authentic and stored, but it cannot be parsed or does not match its schema; `reasons` has the causes. It does not
 *   take its id: another event with that id is accepted;
 * - `conflict`: an earlier event of the source has the same id and another body. The event is stored and shown, but not dispatched
 *   unless the earlier event gives the id up (`DeliveryQueue.settle`). A quarantined event that is replayed after another event took
 *   its id is in conflict too;
 * - `superseded`: it ends a task that another event has ended; stored and shown, but not dispatched.
 */
export const EVENT_STATUSES = ['accepted', 'unhandled', 'quarantined', 'conflict', 'superseded'] as const
export type EventStatus = (typeof EVENT_STATUSES)[number]

/** Which of its source's secrets verified a webhook, counted from 1, the newest first; of how many there were then. */
export interface VerifiedBy {
  readonly secret: number
  readonly of: number
}

/** A status that an event gets when it is routed. Only the store decides on the others. */
export type RoutedStatus = Exclude<EventStatus, 'conflict' | 'superseded'>

/** Header names in lower case; repeated headers joined by ", " as Node does. */
export type Headers = Readonly<Record<string, string | undefined>>

/** The fields that a provider module reads from an authentic request. */
export interface EventFields {
  /** The provider's id, unique within its source; duplicates are recognized by it. */
  readonly id: string
  readonly type: string
  /** RFC 3339; the time of receipt if the provider gives no readable time. */
  readonly created_at: string
  readonly created_at_source: CreatedAtSource
  readonly data: unknown
  readonly api_version?: string
  /** The provider's id of the task that this event is about. */
  readonly task?: string
}

/** Where an event's `created_at` comes from: its provider, or the time of receipt if the provider gave no readable time. */
export const CREATED_AT_SOURCES = ['provider', 'received'] as const
export type CreatedAtSource = (typeof CREATED_AT_SOURCES)[number]

/** The event that a handler gets: the tutorial's standard structure, and what Holdfast adds. */
export interface WebhookEvent<Type extends string = string, Data = Record<string, unknown>> {
  /** The provider's id. */
  readonly id: string
  /** Holdfast's id (UUIDv7), the same for every attempt and every handler: the idempotency key. */
  readonly uid: string
  readonly type: Type
  /** RFC 3339; the time of receipt if the provider gives no readable time. */
  readonly created_at: string
  readonly created_at_source: CreatedAtSource
  readonly data: Data
  readonly api_version?: string
  readonly source: string
  readonly provider: string
  readonly origin: Origin
  /** RFC 3339. */
  readonly received_at: string
  readonly task?: string
  /**
   * The headers of the request, as they are stored: without credentials, and without those of the connection. Of an event with origin
   * `poll`, those of the provider's answer. Frozen.
   */
  readonly headers: Headers
  /** Gives the exact bytes that the provider sent. */
  raw(): Buffer
}

/** An event on its way into the store. */
export interface NewEvent {
  readonly uid: string
  readonly source: string
  readonly provider: string
  readonly id: string
  readonly type: string
  readonly createdAt: string
  readonly createdAtSource: CreatedAtSource
  /** Milliseconds since the epoch. */
  readonly receivedAtMs: number
  readonly origin: Origin
  readonly status: RoutedStatus
  readonly reasons: readonly string[]
  readonly apiVersion?: string
  readonly task?: string
  /** How the event ends that task; absent: it does not. */
  readonly taskEnd?: TaskEnd
  /** For an event from a poll or an expiry: the lease of the task, without which the event is not stored. */
  readonly taskLease?: TaskLease
  readonly headers: Headers
  /** W3C trace context of the request, if it had one. */
  readonly traceparent?: string
  /** Of a webhook: the address that it came from, as trusted proxies name it. */
  readonly receivedFrom?: string
  /** Of a webhook. Absent: its scheme has no secrets, or does not tell. */
  readonly verifiedBy?: VerifiedBy
  readonly body: Uint8Array
  /** `body`: an event with a known body is a duplicate too, with any id. Absent: only its id decides. */
  readonly dedupe?: 'body'
  /**
   * For an accepted event: the ids (`judgementId`) of the schema checks that are left to its handlers' processes. Checks with equal
   * ids have equal results. Absent: no check is left.
   */
  readonly unjudged?: readonly string[]
  /** Names of the handlers that are to run; empty unless `accepted`. */
  readonly handlers: readonly string[]
  /** The values at the paths of its source that are indexed (`PayloadIndex`). Absent: the source has none. */
  readonly indexed?: readonly IndexedValue[]
  /** Of those handlers that run the event in the order of a key. Absent: none does. */
  readonly orderKeys?: OrderKeys
  /** Deliveries that this process can run at once: the store leases them in the same commit, if the event is accepted. */
  readonly lease?: LeaseOffer
}

/** The lease of a task that a poll or expiry ended, and what the task records about it. */
export interface TaskLease {
  readonly uid: string
  readonly lease: string
  readonly by: 'poll' | 'expiry'
  /** With `expiry`: the provider's status at the deadline; absent: the last known one stays. */
  readonly providerStatus?: string
  /** The error. Absent: with `poll` there was none; with `expiry` the task's last error stays. */
  readonly error?: string
  /** The question that ended the task, or the last one before its deadline. Absent: the provider was not asked at the deadline. */
  readonly question?: Question
}

/** An offer to lease deliveries. Names each handler only once, and only handlers that the event goes to and has no order key for. */
export interface LeaseOffer {
  readonly handlers: readonly string[]
  /** As in `ClaimRequest`: of all these deliveries, or of each, in the order of `handlers`. */
  readonly leaseMs: number | readonly number[]
}

/** An event in a list, without headers and body. */
export interface EventSummary {
  readonly uid: string
  readonly source: string
  readonly provider: string
  readonly id: string
  readonly type: string
  /** RFC 3339. */
  readonly createdAt: string
  /** Absent: the event was stored by a release that did not record it. */
  readonly createdAtSource?: CreatedAtSource
  readonly receivedAtMs: number
  readonly origin: Origin
  readonly status: EventStatus
  /** Absent: its deliveries lie on a damaged page. */
  readonly outcome?: EventOutcome
  readonly reasons: readonly string[]
  readonly apiVersion?: string
  readonly task?: string
  readonly sizeBytes: number
}
