import type { DeliveryState, DeliverySummary, Settlement, Work } from './delivery.ts'
import type { RoutedStatus } from './event.ts'
import type { OrderKeys } from './order-key.ts'
import type { Page, PageRequest } from './page.ts'

/** The limits of one handler's deliveries. A limit that is absent is that of all handlers. */
export interface HandlerLimits {
  readonly handler: string
  readonly leaseMs?: number
  readonly maxAttempts?: number
}

export interface ClaimRequest {
  /**
   * The handlers whose deliveries may be leased. `limit`: how many deliveries of the handler may be leased. `running`: how many
   * run already; absent: none.
   */
  readonly handlers: readonly { readonly name: string; readonly limit: number; readonly running?: number }[]
  /** The most deliveries to lease, over all handlers: of those that may share a process, and of those that must run isolated. */
  readonly sharedLimit: number
  readonly isolatedLimit: number
  /** If a delivery is not settled within this time, its attempt is lost, and the delivery becomes pending again. */
  readonly leaseMs: number
  /** If the lease runs out on the attempt with this number, the delivery becomes dead. */
  readonly maxAttempts: number
  /**
   * The handlers that have limits of their own in place of `leaseMs` and `maxAttempts`, each once. They hold for every lease that ran
   * out, also if `handlers` does not name the handler now. Absent: no handler has.
   */
  readonly ownLimits?: readonly HandlerLimits[]
  /**
   * The caller has handlers with `orderBy`. Without it, new deliveries with an order key may be leased some seconds late, for
   * example those of a handler that had `orderBy` before.
   */
  readonly ordered?: boolean
}

export interface Claimed {
  readonly work: readonly Work[]
  /**
   * The next time at which there may be something to claim (ms since the epoch): the earliest due time of a pending delivery of any
   * handler, or the earliest end of a lease taken through this store, that lies after this claim. Undefined: there is none.
   */
  readonly nextDueAtMs: number | undefined
}

export interface DeliveryFilter {
  readonly state?: DeliveryState
  readonly handler?: string
  readonly source?: string
  readonly eventUid?: string
  /** The id of the cause of a death. */
  readonly cause?: string
}

export interface Replay {
  readonly eventUid: string
  /** Deliveries to run again or to create. */
  readonly handlers: readonly string[]
  /** The order keys of these deliveries from now on. Absent: they have none. */
  readonly orderKeys?: OrderKeys
  /** The event's status from now on. */
  readonly status: RoutedStatus
  readonly reasons: readonly string[]
  /**
   * Only such deliveries run again; no other delivery changes, and none is created. `waiting`: pending and not due yet, after an
   * attempt that failed, for example.
   */
  readonly only?: 'dead' | 'discarded' | 'waiting'
  /** With `only`: only those that died of this cause. */
  readonly cause?: string
  /** The id of the replay, which the attempts that follow carry. */
  readonly id?: string
}

/** The result of a replay. */
export interface Replayed {
  /**
   * `conflict`: the event was quarantined on arrival and is understood now, but another event has its id meanwhile. `reasons` says
   * so, and no handler runs.
   */
  readonly status: Replay['status'] | 'conflict'
  readonly reasons: readonly string[]
  /** The handlers that will run. */
  readonly handlers: readonly string[]
  /** The id of the replay. */
  readonly id?: string
}

/** Runs a stored event again: for one handler, or for all that want it now. */
export type ReplayEvent = (uid: string, handler?: string) => Promise<Replayed>

/**
 * The deliveries of events to handlers.
 *
 * Order: of the deliveries to one handler with one order key, at most one may be leased or come due. It is the head, and remains it
 * while it runs and while it waits for another attempt. The others are blocked: pending, but `claim` does not lease them. In the
 * commit in which the head succeeds or dies, by whatever way, the first of them becomes the head, due at once. The first is the one
 * whose event was stored first. A dead delivery that is replayed is blocked while there is another head, and then usually the first.
 *
 * If a fault left blocked deliveries without a head, claims find them within a minute or so, and make the first one the head.
 */
export interface DeliveryQueue {
  /**
   * Leases due deliveries and counts their attempts. No delivery is leased to two callers at once. Handlers take turns: each next
   * delivery is one of the handler with the fewest running attempts, including those that this call has just leased. If several
   * handlers have equally few, the handler with the delivery that has been due longest comes first. Within a handler, the delivery
   * that has been due longest comes first. A claim leases fewer if their bodies are long, but always one.
   *
   * Also reclaims the deliveries whose lease ran out, or whose lease belongs to another process on the same store that is dead:
   * each becomes pending or, if no attempt is left, dead. Either way its history shows the lost attempt. A delivery that is lost
   * twice in a row runs isolated next.
   *
   * A claim is committed, but not fsynced: a power cut (or a failover of PostgreSQL) may undo the lease. The delivery is then
   * leased again as if for the first time, although its handler may have run.
   *
   * Sets aside rows that the database cannot read because of damage, where that is possible. If the damage prevents every claim,
   * no delivery is leased.
   */
  claim(request: ClaimRequest): Promise<Claimed>

  /**
   * Records attempts, and changes the state of their deliveries. The result tells for each settlement whether it took effect:
   * false, and nothing is recorded, if the delivery no longer has that lease. So the same settlement takes effect only once. As
   * durable as a claim: after a power cut the delivery may run once more.
   *
   * With `quarantine`, the event becomes quarantined; its other deliveries stay as they are. When all deliveries of a quarantined
   * event are dead or discarded, the event gives up its id, as if it had been quarantined on arrival. In the same commit the first of the events
   * in conflict with it takes the id, and is routed by `routes`.
   */
  settle(settlements: readonly Settlement[]): Promise<readonly boolean[]>

  /**
   * Makes deliveries pending and due now, with the full number of attempts again, and creates those that do not exist. A delivery
   * that is due, blocked, held or running stays as it is. An event that was quarantined on arrival, and is understood now, takes its id. If
   * another event has the id (or, with `dedupe: 'body'`, the body), the event becomes a `conflict` instead, and its handlers run
   * only after a second replay. Rejects with `event_not_found`.
   */
  replay(replay: Replay): Promise<Replayed>

  /** Deliveries of the newest event first; with `state` `dead`, the last to die first. */
  deliveries(filter: DeliveryFilter, page: PageRequest): Promise<Page<DeliverySummary>>
}
