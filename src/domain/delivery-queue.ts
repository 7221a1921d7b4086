import type { DeliveryState, DeliverySummary, Settlement, Work } from './delivery.ts'
import type { RoutedStatus } from './event.ts'
import type { Page, PageRequest } from './page.ts'

export interface ClaimRequest {
  /**
   * Handlers that may run, how many more of each, and how many of each run already (absent: none). A delivery of a handler
   * that is not named here is left alone.
   */
  readonly handlers: readonly { readonly name: string; readonly limit: number; readonly running?: number }[]
  /** The most deliveries, over all handlers, that may share a process, and that must run alone. */
  readonly sharedLimit: number
  readonly isolatedLimit: number
  /** A delivery that is not settled within this time is pending again, and its attempt is lost. */
  readonly leaseMs: number
  /** A delivery whose lease ran out on its last attempt is dead. */
  readonly maxAttempts: number
}

export interface Claimed {
  readonly work: readonly Work[]
  /**
   * When the next delivery comes due (ms since the epoch): the earliest of the pending deliveries of any handler and of the
   * leases taken through this store, among those that were not due when the store looked. Undefined if there is none.
   */
  readonly nextDueAtMs: number | undefined
}

export interface DeliveryFilter {
  readonly state?: DeliveryState
  readonly handler?: string
  readonly source?: string
  readonly eventUid?: string
}

export interface Replay {
  readonly eventUid: string
  /** Deliveries to run again or to create. */
  readonly handlers: readonly string[]
  /** The event's status from now on. */
  readonly status: RoutedStatus
  readonly reasons: readonly string[]
  /** `dead`: only deliveries that are dead run again; no other delivery changes, and none is created. */
  readonly only?: 'dead'
}

/** What a replay has made of an event. */
export interface Replayed {
  /**
   * `conflict`: Holdfast had not understood the event before, and another event has taken its id meanwhile. The event was given
   * a reason that says so, and no handler runs.
   */
  readonly status: Replay['status'] | 'conflict'
  readonly reasons: readonly string[]
  /** The handlers that will run. */
  readonly handlers: readonly string[]
}

/** Runs a stored event again: for one handler, or for all that want it now. */
export type ReplayEvent = (uid: string, handler?: string) => Promise<Replayed>

/** The deliveries of events to handlers. */
export interface DeliveryQueue {
  /**
   * Leases due deliveries and counts the attempt. No delivery is leased to two callers at once. The order is round robin over
   * the handlers: the next delivery is always one of the handler of which the fewest run, with those just leased counted; of
   * several such handlers, of the one whose next delivery is the oldest due. Within a handler the oldest due comes first.
   * Deliveries whose lease ran out, or whose holder shared the store and is dead, become pending or, with no attempt left,
   * dead; either way the lost attempt is in their history. A delivery that is lost for the second time in a row is to run
   * isolated.
   *
   * Committed, but not fsynced: a power cut (or a failover of PostgreSQL) may undo the lease. The delivery is then leased again
   * as if for the first time, though its handler may have run.
   *
   * Rows that the database cannot read (damage) are set aside where that is possible; where damage is in the way of all
   * deliveries, none is leased.
   */
  claim(request: ClaimRequest): Promise<Claimed>

  /**
   * Records attempts and moves their deliveries on. The answer tells for each whether it took effect: false if the lease is no
   * longer the delivery's, in which case nothing is recorded. Idempotent in that sense. As durable as a claim: after a power
   * cut the delivery may run once more.
   *
   * With `quarantine`, the event is quarantined, and its other deliveries are left alone. Once no delivery of a quarantined
   * event has succeeded or still may, the event gives its id up, like one that was quarantined when it came. In the same commit
   * the first of the events in conflict with it takes the id, and runs as `routes` say.
   */
  settle(settlements: readonly Settlement[]): Promise<readonly boolean[]>

  /**
   * Makes deliveries pending and due now, with all attempts before them, and creates those that do not exist; a delivery that
   * is pending or running is left alone. An event that was quarantined when it came, and is understood now, takes its id. If
   * the id is taken (or, with `dedupe: 'body'`, the body known), the event becomes a `conflict` instead, which another replay
   * runs. Rejects with `event_not_found`.
   */
  replay(replay: Replay): Promise<Replayed>

  /** Deliveries of the newest event first; with `state` `dead`, the last to die first. */
  deliveries(filter: DeliveryFilter, page: PageRequest): Promise<Page<DeliverySummary>>
}
