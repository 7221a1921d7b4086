import type { Attempt, DeliveryState, DeliverySummary, LeasedDelivery, Settlement, Work } from './delivery.ts'
import type { EventStatus, EventSummary, NewEvent, Origin } from './event.ts'
import type { Fleet } from './replica.ts'
import type { TaskStatus } from './task.ts'
import type { TaskStore } from './task-store.ts'
import type { Upkeep } from './upkeep.ts'

/**
 * What became of an appended event: `duplicate` carries the uid of the first one, `conflict` and `superseded` the uid
 * under which this one was kept; `fenced`: the lease under which it was asked for is gone, and it was not kept.
 */
export interface Receipt {
  readonly outcome: 'accepted' | 'duplicate' | 'conflict' | 'superseded' | 'fenced'
  readonly uid: string
  /** Of a duplicate: handlers whose deliveries of the first one are dead. Absent: none are. */
  readonly dead?: readonly string[]
  /** When it was received by the store's clock, where this process's is off; absent: as the event says. */
  readonly receivedAtMs?: number
  /** Of an accepted event with an offer to lease: what of the offer was taken. Absent: nothing was. */
  readonly leased?: readonly LeasedDelivery[]
}

export interface ClaimRequest {
  /**
   * Handlers that may run, how many more of each, and how many of each run already (absent: none). A delivery of a handler
   * not named here is left alone.
   */
  readonly handlers: readonly { readonly name: string; readonly limit: number; readonly running?: number }[]
  /** Deliveries in all that may share processes, and that must run alone. */
  readonly sharedLimit: number
  readonly isolatedLimit: number
  /** A delivery not settled within this time is pending again, its attempt lost. */
  readonly leaseMs: number
  /** A delivery whose lease ran out on its last attempt is dead. */
  readonly maxAttempts: number
}

export interface Claimed {
  readonly work: readonly Work[]
  /**
   * When the next pending delivery of any handler comes due, or the next lease that was taken through this store, of those
   * not due yet when the store looked (ms since the epoch); undefined if there is none.
   */
  readonly nextDueAtMs: number | undefined
}

/** A filter that is absent does not filter. `since` is inclusive, `until` exclusive, both on the time of receipt. */
export interface EventFilter {
  readonly source?: string
  /** An event type, or a pattern with `*`, which holds no NUL. */
  readonly type?: string
  readonly status?: EventStatus
  readonly origin?: Origin
  readonly task?: string
  readonly sinceMs?: number
  readonly untilMs?: number
  /** A substring of id, uid, type or task; letters of either case; at most 256 characters, none of them NUL. */
  readonly q?: string
}

export interface DeliveryFilter {
  readonly state?: DeliveryState
  readonly handler?: string
  readonly source?: string
  readonly eventUid?: string
}

/** `cursor` is what an earlier page gave as `nextCursor`; one that no store ever gave is `invalid_request`. */
export interface PageRequest {
  readonly limit: number
  readonly cursor?: string
}

export interface Page<Item> {
  readonly items: readonly Item[]
  readonly nextCursor: string | undefined
}

export interface EventDetail extends EventSummary {
  readonly headers: Readonly<Record<string, string>>
  readonly traceparent?: string
  /** Lower-case hex SHA-256 of the body. */
  readonly checksum: string
  readonly deliveries: readonly (DeliverySummary & { readonly history: readonly Attempt[] })[]
}

export interface Replay {
  readonly eventUid: string
  /** Deliveries to run again or to create. */
  readonly handlers: readonly string[]
  /** The event's status from now on. */
  readonly status: 'accepted' | 'unhandled' | 'quarantined'
  readonly reasons: readonly string[]
  /** `dead`: only deliveries that are dead run again; no other is touched, and none is created. */
  readonly only?: 'dead'
}

/** What a replay has made of an event. */
export interface Replayed {
  /** `conflict`: it had never been understood, and its id has been taken meanwhile; it was given a reason, and nothing runs. */
  readonly status: Replay['status'] | 'conflict'
  readonly reasons: readonly string[]
  /** The handlers that will run. */
  readonly handlers: readonly string[]
}

export interface Counts {
  readonly deliveries: Readonly<Record<DeliveryState, number>>
  /** When the oldest delivery that is due was due (ms since the epoch); undefined if none is due. */
  readonly oldestDueAtMs: number | undefined
  readonly tasks: Readonly<Record<TaskStatus, number>>
}

/**
 * Where events live. Each call is atomic. A call that cannot be carried out rejects with `HoldfastError` `unavailable`
 * and has changed nothing that a reader can see; `event_not_found`, `body_corrupt` and `invalid_request` are named
 * where they can occur. Calls may overlap freely.
 */
export interface Store {
  /**
   * Keeps an event and creates its deliveries, pending and due at once. Resolves only after the commit is on disk
   * (SQLite: fsynced; PostgreSQL: by the server's own rules). Rejected: nothing of it is kept, and the sender may send it
   * again.
   *
   * The first event of a source and id that is understood takes the id. A later one is not kept again if its body is the
   * same (`duplicate`), and kept as `conflict` without deliveries if it is another; the same conflicting body is kept
   * once. A quarantined event neither takes its id nor is in conflict; the same quarantined body under the same id is a
   * `duplicate`. So is one that is not judged yet (`unjudged`), if the same body under the same id was quarantined by one of
   * those judgements; of several that were, the last one counts. With `dedupe: 'body'` an event is a `duplicate` as well if
   * its source has kept one with the same body under any id with `dedupe: 'body'`: one that was understood and is no
   * `conflict`, or, for a quarantined or unjudged event, one that was quarantined as well.
   *
   * An event that tells the end of a task (`task`, `taskEnd`) ends it in the same transaction. If another event has ended
   * that task, this one is kept as `superseded`, without deliveries. An event that Holdfast went and got (`asked`) is
   * kept only while the task is not terminal and its lease holds; otherwise it is `fenced`. By the lease it is known, and
   * not by its id: it is never a duplicate or a conflict.
   *
   * With `lease`, the deliveries named there are running from the same commit on, their first attempt counted, if the event
   * is accepted; the receipt tells their leases. A store may decline.
   */
  append(event: NewEvent): Promise<Receipt>

  /**
   * Leases due deliveries and counts the attempt: round robin over the handlers, the next always one of a handler of which
   * the fewest run (with those just leased; of several, of the one whose next is the oldest due), oldest due first within a
   * handler. No delivery is leased to two callers at once.
   * Deliveries whose lease ran out, or whose holder shares the store and is dead, become pending or, with no attempt left,
   * dead; either way the lost attempt is in their history. One that is lost for the second time in a row is to run isolated.
   *
   * Committed, but not fsynced: a power cut (or a failover of PostgreSQL) may undo it, and the delivery is then leased again
   * as if for the first time, though its handler may have run.
   *
   * What the database cannot read (damage) is set aside where it can be; where it is in the way of all, nothing is leased.
   */
  claim(request: ClaimRequest): Promise<Claimed>

  /**
   * Records attempts and moves their deliveries on. Tells for each whether it took effect: false if the lease is no
   * longer the delivery's, in which case nothing is recorded. Idempotent in that sense. As durable as a claim: after a power
   * cut the delivery may run once more. With `quarantine`, its event is quarantined; its other deliveries are left alone. Once
   * none of a quarantined event's deliveries has succeeded or may yet, it gives its id up, as one that was quarantined when it
   * came. In the same commit the first of the events in conflict with it takes the id, and runs as `routes` say.
   */
  settle(settlements: readonly Settlement[]): Promise<readonly boolean[]>

  /**
   * Makes deliveries pending and due now with all attempts before them, creating those that do not exist; one that is
   * pending or running is left alone. An event that was quarantined when it came, and is understood now, takes its id; if that
   * is taken (or, with `dedupe: 'body'`, its body known), it becomes a `conflict` instead, which another replay runs. Rejects
   * with `event_not_found`.
   */
  replay(replay: Replay): Promise<Replayed>

  /** Newest first. Sees every append that has resolved. Rejects a filter that cannot be looked for with `invalid_request`. */
  events(filter: EventFilter, page: PageRequest): Promise<Page<EventSummary>>

  /** One event with its deliveries and their attempts, oldest first; undefined if there is none. */
  event(uid: string): Promise<EventDetail | undefined>

  /** The bytes as they came. Rejects with `event_not_found`, or `body_corrupt` if they no longer match their checksum. */
  body(uid: string): Promise<Uint8Array>

  /** Those of the newest event first; with `state` `dead`, the one that died last first. */
  deliveries(filter: DeliveryFilter, page: PageRequest): Promise<Page<DeliverySummary>>

  /** May be a few seconds old. */
  counts(): Promise<Counts>
}

export type StoreLog = (level: 'info' | 'warn' | 'error', message: string) => void

/** A store with its life: opened by `storage/open.ts`, closed by the composition root. */
export interface OpenStore extends Store, TaskStore, Upkeep {
  /** The processes that share it; undefined: it is this one's alone. */
  readonly fleet: Fleet | undefined
  /** Why an append would be refused now; empty when it would not. Costs nothing. */
  faults(): readonly string[]
  /** What is damaged, though appends go on: an operator is to look after it. Costs nothing. */
  warnings(): readonly string[]
  /**
   * Resolves if the store is lost for good (a failed fsync, a dead thread): the process should end. A database that is away
   * is a fault, and comes back.
   */
  readonly lost: Promise<Error>
  /** Finishes what was accepted, then refuses everything with `unavailable`. Idempotent. */
  close(): Promise<void>
}
