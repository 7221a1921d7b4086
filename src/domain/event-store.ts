import type { Attempt, DeliverySummary, LeasedDelivery } from './delivery.ts'
import type { EventSummary, NewEvent, VerifiedBy } from './event.ts'
import type { EventFilter } from './event-filter.ts'
import type { PageRequest, SearchPage } from './page.ts'

/**
 * The result of an append. `uid` is that of the appended event; for a `duplicate`, and for a `conflict` whose body was stored before,
 * it is that of the event stored before. `fenced`: nothing was stored, because the caller no longer holds the task's lease.
 */
export interface Receipt {
  readonly outcome: 'accepted' | 'duplicate' | 'conflict' | 'superseded' | 'fenced'
  readonly uid: string
  /** Of a duplicate: the handlers whose deliveries of the stored event are dead. Absent: none is dead. */
  readonly dead?: readonly string[]
  /** The stored time of receipt, if the store's clock differs from this process's clock. Absent: the event's own time. */
  readonly receivedAtMs?: number
  /** Of an accepted event with a `lease` offer: the deliveries that were leased. Absent: none was leased. */
  readonly leased?: readonly LeasedDelivery[]
}

/** How often an event was sent again with the same bytes; each time it was answered, and not stored (`EventStore.append`). */
export interface Repeats {
  readonly times: number
  readonly lastAtMs: number
  /** Absent: it is not known. */
  readonly lastFrom?: string
}

export interface EventDetail extends EventSummary {
  readonly headers: Readonly<Record<string, string>>
  readonly traceparent?: string
  /** As in `NewEvent`; absent also of an event that a release stored which did not record it. */
  readonly receivedFrom?: string
  readonly verifiedBy?: VerifiedBy
  /** Absent: the event was not sent again. */
  readonly repeats?: Repeats
  /** Lower-case hex SHA-256 of the body. */
  readonly checksum: string
  readonly deliveries: readonly (DeliverySummary & { readonly history: readonly Attempt[] })[]
}

/**
 * What an event is to the one that it stands beside:
 * - `has_id`: it has the id about which that one is in conflict;
 * - `same_id`: it is in conflict with that one, or with the same event as that one;
 * - `ended_task`: it ended the task before that one came;
 * - `same_task`: it came after the task had ended, by that one or, as that one, by another.
 */
export const RELATIONS = ['has_id', 'same_id', 'ended_task', 'same_task'] as const
export type Relation = (typeof RELATIONS)[number]

/** How many events about an id, and how many about a task, are named beside an event. */
export const MAX_BESIDE = 10

export interface BesideEvent {
  readonly relation: Relation
  /** Without its outcome. */
  readonly event: EventSummary
}

/** The fields of an event that decide how its body is read. */
export type EventForm = Pick<EventDetail, 'source' | 'id' | 'type' | 'origin' | 'task' | 'headers' | 'receivedAtMs'>

/** The events that were received. */
export interface EventStore {
  /**
   * Stores an event and creates its deliveries, pending and due at once. Resolves only after the commit is on disk
   * (SQLite: fsynced; PostgreSQL: by the server's own rules). If it rejects, nothing is stored, and the sender may send the
   * event again.
   *
   * The first understood (not quarantined) event of a source and id takes the id. A later event with the same id and the same
   * body is a `duplicate` and is not stored; with another body it is a `conflict`, stored without deliveries, and stored only once
   * for each body. A quarantined event does not take its id and is in conflict with no event; a second one with the same id and
   * body is a `duplicate`. An event whose schema checks are left to the handler processes (`unjudged`) is also a `duplicate` if one
   * of these checks has quarantined a stored event with the same id and body. Of several quarantined events with the same body the
   * last one counts; with PostgreSQL, after retention has deleted that one, the others are not found.
   *
   * With `dedupe: 'body'`, an event is also a `duplicate` of any stored event of its source with the same body and
   * `dedupe: 'body'`, whatever their ids. That event must be understood and no `conflict`; for a quarantined event, or one with
   * `unjudged` checks, it may also be a quarantined one.
   *
   * An event that reports the end of a task (`task`, `taskEnd`) ends the task in the same transaction. If another event has
   * ended that task, this one is stored as `superseded`, without deliveries. An event from a poll or an expiry (`taskLease`) is stored
   * only while the task is not terminal and the lease is valid; otherwise it is `fenced`. The lease identifies it, not its id, so
   * it is never a duplicate or a conflict.
   *
   * An event that is not stored because it is stored already (a `duplicate`, a `conflict` that came before) is counted with the stored
   * one (`EventDetail.repeats`) before the append resolves. With SQLite a power cut may undo the last counts.
   *
   * With `lease`, an accepted event has the named deliveries leased in the same commit, with their first attempt counted; the
   * receipt has their leases. A store may decline to lease.
   */
  append(event: NewEvent): Promise<Receipt>

  /**
   * Newest first, with every event whose append has resolved: by time of receipt; with the outcome dead, failing, pending or discarded,
   * in order of arrival. With `contains` or `match` a page ends after two seconds. Rejects with `invalid_request` if the filter breaks its bounds.
   */
  events(filter: EventFilter, page: PageRequest): Promise<SearchPage<EventSummary>>

  /** One event with its deliveries and their attempts, oldest first; undefined if there is none. */
  event(uid: string): Promise<EventDetail | undefined>

  /**
   * The events that are in conflict with this one or superseded by it, or that it is in conflict with or superseded by: at most
   * `MAX_BESIDE` about its id, then as many about its task. Of each the one that has the id or ended the task comes first, and then the
   * newest. None if there is no such event.
   */
  beside(uid: string): Promise<readonly BesideEvent[]>

  /** Undefined: there is no such event. */
  eventForm(uid: string): Promise<EventForm | undefined>

  /** The exact bytes that were received. Rejects with `event_not_found`, or with `body_corrupt` if they do not match their checksum. */
  body(uid: string): Promise<Uint8Array>
}
