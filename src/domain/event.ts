import type { TaskEnd } from './task.ts'

/** How an event came to us. */
export const ORIGINS = ['webhook', 'poll', 'cli'] as const
export type Origin = (typeof ORIGINS)[number]

/**
 * What became of an event at the door:
 * - `accepted`: understood, and at least one handler wants it;
 * - `unhandled`: understood and kept, but no handler wants its type (replay routes it anew);
 * - `quarantined`: authentic and kept, but unparsable or not as its schema says; `reasons` tell why. It does not take its id:
 *   another event of that id is accepted;
 * - `conflict`: its source and id are those of an earlier event with another body; kept and shown, not dispatched, unless that
 *   one gives the id up (`DeliveryQueue.settle`). So is one that was quarantined and is replayed when its id has been taken meanwhile;
 * - `superseded`: it tells the end of a task that another event has ended; kept and shown, not dispatched.
 */
export const EVENT_STATUSES = ['accepted', 'unhandled', 'quarantined', 'conflict', 'superseded'] as const
export type EventStatus = (typeof EVENT_STATUSES)[number]

/** Header names in lower case; repeated headers joined by ", " as Node does. */
export type Headers = Readonly<Record<string, string | undefined>>

/** What a provider module reads out of an authentic request. */
export interface EventFields {
  /** The provider's id, unique within its source. What duplicates are known by. */
  readonly id: string
  readonly type: string
  /** RFC 3339; the time of receipt where the provider gives none that can be read. */
  readonly created_at: string
  readonly created_at_source: CreatedAtSource
  readonly data: unknown
  readonly api_version?: string
  /** The provider's id of the task that this event is about. */
  readonly task?: string
}

/** Whose word an event's `created_at` is: its provider's, or, where that gave none that could be read, the time of receipt. */
export type CreatedAtSource = 'provider' | 'received'

/** The tutorial's standard structure, as a handler receives it, plus what Holdfast knows of it. */
export interface WebhookEvent<Type extends string = string, Data = Record<string, unknown>> {
  /** The provider's id. */
  readonly id: string
  /** Ours (UUIDv7), the same for every attempt and every handler: the idempotency key. */
  readonly uid: string
  readonly type: Type
  /** RFC 3339; the time of receipt where the provider gives none that can be read. */
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
  /** The exact bytes that the provider sent. */
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
  /** Neither `conflict` nor `superseded`: only the store can tell those. */
  readonly status: Exclude<EventStatus, 'conflict' | 'superseded'>
  readonly reasons: readonly string[]
  readonly apiVersion?: string
  readonly task?: string
  /** How it ends that task, if it does. */
  readonly taskEnd?: TaskEnd
  /** Of an event that Holdfast went and got: the lease under which it asked, without which it is not kept. */
  readonly asked?: AskedUnder
  readonly headers: Headers
  /** W3C trace context of the request, where it had one. */
  readonly traceparent?: string
  readonly body: Uint8Array
  /** `body`: a known body makes it a duplicate too, whatever its id. Absent: its id alone tells. */
  readonly dedupe?: 'body'
  /**
   * Names of judgements of it that are left to its handlers' processes: equal names stand for equal answers. Of an accepted
   * event; absent: none are.
   */
  readonly unjudged?: readonly string[]
  /** Names of the handlers that are to run; empty unless `accepted`. */
  readonly handlers: readonly string[]
  /** Deliveries that this process would run at once: leased in the same commit, if the event is accepted. */
  readonly lease?: LeaseOffer
}

/** The lease under which Holdfast asked, and what is to be told of it by the task that the event ends. */
export interface AskedUnder {
  readonly uid: string
  readonly lease: string
  readonly by: 'poll' | 'expiry'
  /** With `expiry`: the provider's own word at the deadline; absent: as it was last heard. */
  readonly providerStatus?: string
  /** What went wrong; absent: with `poll` nothing, with `expiry` what had gone wrong before. */
  readonly error?: string
}

/** A handler may be named here only once, and only if the event is for it. */
export interface LeaseOffer {
  readonly handlers: readonly string[]
  /** As in `ClaimRequest`. */
  readonly leaseMs: number
}

/** An event as lists show it: everything but headers and body. */
export interface EventSummary {
  readonly uid: string
  readonly source: string
  readonly provider: string
  readonly id: string
  readonly type: string
  /** RFC 3339. */
  readonly createdAt: string
  /** Absent: kept by a release that did not note it. */
  readonly createdAtSource?: CreatedAtSource
  readonly receivedAtMs: number
  readonly origin: Origin
  readonly status: EventStatus
  readonly reasons: readonly string[]
  readonly apiVersion?: string
  readonly task?: string
  readonly sizeBytes: number
}
