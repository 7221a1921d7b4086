import type { Attempt, DeliverySummary, LeasedDelivery } from './delivery.ts'
import type { EventSummary, NewEvent } from './event.ts'
import type { EventFilter } from './event-filter.ts'
import type { Page, PageRequest } from './page.ts'

/**
 * What became of an appended event: `duplicate` carries the uid of the first one, `conflict` and `superseded` the uid
 * under which this one was kept. `fenced`: the lease under which the provider was asked is gone, and nothing was kept.
 */
export interface Receipt {
  readonly outcome: 'accepted' | 'duplicate' | 'conflict' | 'superseded' | 'fenced'
  readonly uid: string
  /** Of a duplicate: the handlers whose deliveries of the first event are dead. Absent: no delivery of it is dead. */
  readonly dead?: readonly string[]
  /** The time of receipt by the store's clock, where that differs from this process's clock; absent: as the event says. */
  readonly receivedAtMs?: number
  /** Of an accepted event with an offer to lease: the deliveries that were leased. Absent: none was. */
  readonly leased?: readonly LeasedDelivery[]
}

export interface EventDetail extends EventSummary {
  readonly headers: Readonly<Record<string, string>>
  readonly traceparent?: string
  /** Lower-case hex SHA-256 of the body. */
  readonly checksum: string
  readonly deliveries: readonly (DeliverySummary & { readonly history: readonly Attempt[] })[]
}

/** As much of an event as says how its body is read. */
export type EventForm = Pick<EventDetail, 'source' | 'id' | 'type' | 'origin' | 'task' | 'headers' | 'receivedAtMs'>

/** The events that were received. */
export interface EventStore {
  /**
   * Keeps an event and creates its deliveries, pending and due at once. Resolves only after the commit is on disk
   * (SQLite: fsynced; PostgreSQL: by the server's own rules). If it rejects, nothing is kept, and the sender may send the
   * event again.
   *
   * The first event of a source and id that Holdfast understands takes the id. A later event of the same id and the same
   * body is a `duplicate` and is not kept; with another body it is a `conflict`, kept without deliveries. The same conflicting
   * body is kept once. A quarantined event does not take its id and is in conflict with no event; the same quarantined body
   * under the same id is a `duplicate`. An event that is not judged yet (`unjudged`) is a `duplicate` as well if one of these
   * judgements has quarantined the same body under the same id; of several such judgements, the last one counts. With
   * `dedupe: 'body'` an event is also a `duplicate` if its source has kept the same body under any id with `dedupe: 'body'`:
   * the kept event must have been understood and be no `conflict`; for a quarantined or unjudged event, it may also be one that
   * was quarantined.
   *
   * An event that tells the end of a task (`task`, `taskEnd`) ends the task in the same transaction. If another event has
   * ended that task, this one is kept as `superseded`, without deliveries. An event that Holdfast got by asking the provider
   * (`asked`) is kept only while the task is not terminal and its lease holds; otherwise it is `fenced`. It is known by the
   * lease, not by its id, so it is never a duplicate or a conflict.
   *
   * With `lease`, the named deliveries are running from the same commit on, with their first attempt counted, if the event
   * is accepted; the receipt tells their leases. A store may decline.
   */
  append(event: NewEvent): Promise<Receipt>

  /** Newest first. Sees every append that has resolved. Rejects a filter that breaks its bounds with `invalid_request`. */
  events(filter: EventFilter, page: PageRequest): Promise<Page<EventSummary>>

  /** One event with its deliveries and their attempts, oldest first; undefined if there is none. */
  event(uid: string): Promise<EventDetail | undefined>

  /** How an event's body is read, without its deliveries and attempts; undefined if there is no such event. */
  eventForm(uid: string): Promise<EventForm | undefined>

  /** The bytes as they came. Rejects with `event_not_found`, or with `body_corrupt` if they do not match their checksum. */
  body(uid: string): Promise<Uint8Array>
}
