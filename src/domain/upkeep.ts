import type { ClockLook, ClockRecord } from './clock.ts'

/** Where a walk over the oldest events stands. */
export interface PrunePosition {
  readonly receivedAtMs: number
  readonly key: number
}

/** Times are ms since the epoch, by the store's clock. */
export interface OldBounds {
  /** Events received before this time go. */
  readonly receivedBeforeMs: number
  /** One with a dead delivery goes only if it was received before this time as well. */
  readonly deadReceivedBeforeMs: number
}

/** Events that can go. */
export interface OldEvents {
  /** By the day (UTC, `2026-11-23`) of their receipt, oldest first; `dead`: dead deliveries among them. */
  readonly days: readonly { readonly day: string; readonly events: number; readonly dead: number }[]
  /** There are more than were looked at. */
  readonly more: boolean
}

export interface PruneRequest extends OldBounds {
  /** Events forgotten in this step, at most. */
  readonly limit: number
  /** Where the step before ended; absent: with the oldest event. */
  readonly from?: PrunePosition
}

export interface PruneStep {
  readonly events: number
  /** Dead deliveries that went with them. */
  readonly dead: number
  /** Events that a clock which was behind had dated, and which now bear the time of the event before them. */
  readonly redated: number
  /** Where the next step goes on; undefined: there is no more to look at. */
  readonly next: PrunePosition | undefined
}

/** The longest that anything can have been put off from now; what lies further ahead was written by a clock that was wrong. */
export interface LongestWaits {
  /** A delivery, by the rules of retrying. */
  readonly retryMs: number
  /** A delivery whose handler asked for it. */
  readonly retryAfterMs: number
  /** A task, from one question to the next; a submission that nobody knows the fate of waits for its deadline. */
  readonly pollMs: number
  /** A lease of a delivery, until it ends. */
  readonly leaseMs: number
  /** The clock is trusted: also times of what has happened are brought back. */
  readonly isTrusted: boolean
}

export interface BroughtBack {
  /** Whose time of receipt lay ahead. */
  readonly events: number
  /** That were due, or whose leases were to end, implausibly far ahead, those of such events among them, or had died there. */
  readonly deliveries: number
  readonly tasks: number
}

/** What a store has to have done from time to time. Guarantees and errors are as with `Store`. */
export interface Upkeep {
  /**
   * Looks at the clock that counts in this store (PostgreSQL: the database's, for all replicas; SQLite: the process's) and
   * keeps what came of it, for all. `lookedAtMs` of the answer is that clock's time now. Rejects with `conflict`, and keeps nothing,
   * where an operator's word for the clock does not hold: see `judgeClock` in `clock-record.ts`. Where the clock is trusted again,
   * events that it had dated while it was behind are received now: see `misdatedBefore`.
   */
  judgeClock(look: ClockLook): Promise<ClockRecord>

  /**
   * Brings back to now what a clock that was ahead has written: due times of deliveries and tasks that no wait explains,
   * ends of leases that began ahead (which then last as long as a new one), with PostgreSQL the times at which replicas were last heard of, and, where the clock is trusted, times of receipt, of death, and of the life of tasks that lie over a minute ahead. Does a bounded
   * part of it; there may be more until it gives zeros. Costs little where there is nothing.
   */
  bringBack(waits: LongestWaits): Promise<BroughtBack>

  /**
   * One step of a walk from the oldest event on: forgets events none of whose deliveries is pending or running. Looks at a
   * bounded number of events, so that none may go although there are more to come (`next`). A walk meets each event once.
   * Events are numbered as they are stored: one that seems old, and was stored after one that was received over a day later, was
   * dated by a clock that was behind. It is not forgotten, but bears the other's time from then on.
   */
  prune(request: PruneRequest): Promise<PruneStep>

  /**
   * Forgets tasks that ended before the time, at most `limit` of them. Gives how many. One that began over a day after it was ended
   * by a clock that was behind, and stays.
   */
  pruneTasks(endedBeforeMs: number, limit: number): Promise<number>

  /** What `prune` would forget, of the `MAX_OLD_LOOKED_AT` oldest events. */
  countOld(bounds: OldBounds): Promise<OldEvents>

  /** Dead deliveries of events received before the time; of very many dead ones only those 100,000 are looked at that died first. */
  countDead(receivedBeforeMs: number): Promise<number>
}

/** The events that `countOld` looks at. */
export const MAX_OLD_LOOKED_AT = 100_000
/** The dead deliveries that `countDead` looks at. */
export const MAX_DEAD_LOOKED_AT = 100_000
