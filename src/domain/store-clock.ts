import type { ClockLook, ClockRecord } from './clock.ts'

/** The longest waits that Holdfast ever sets. A time that lies further ahead was written by a clock that was wrong. */
export interface LongestWaits {
  /** A delivery, by the rules of retrying. */
  readonly retryMs: number
  /** A delivery whose handler asked for a later run. */
  readonly retryAfterMs: number
  /** A task, from one poll to the next; a submission whose fate is unknown waits for its deadline. */
  readonly pollMs: number
  /** A lease of a delivery. */
  readonly leaseMs: number
  /** The clock is trusted: times of what has happened are brought back too. */
  readonly isTrusted: boolean
}

/** How many rows were brought back to now. */
export interface RepairedTimes {
  /** Events whose time of receipt lay ahead. */
  readonly events: number
  /** Deliveries whose due time or lease lay implausibly far ahead, or that had died ahead; those of such events included. */
  readonly deliveries: number
  readonly tasks: number
}

/** The most rows of each kind that one call of `repairTimes` sets back. */
export const MAX_REPAIRED_ROWS = 200

/** The clock by which the store's times are written: PostgreSQL's own, for all replicas; with SQLite this process's. */
export interface StoreClock {
  /**
   * Reads the clock, and keeps for all processes whether it is trusted. `lookedAtMs` of the answer is the clock's time now.
   * Rejects with `conflict`, and keeps nothing, where an operator vouches for a clock and is wrong: see `judgeClock` in
   * `clock.ts`. Where the clock is trusted again, events that it dated while it was behind count as received now: see
   * `misdatedBefore`.
   */
  judgeClock(look: ClockLook): Promise<ClockRecord>

  /**
   * Sets back to now what a clock that was ahead has written: due times of deliveries and tasks that no wait explains; ends
   * of leases that began ahead, which then last as long as a new lease; with PostgreSQL the times at which replicas were last
   * heard of. Where the clock is trusted, also times of receipt, of death, and of the life of tasks that lie over a minute
   * ahead. One call does a bounded part; there may be more until all numbers are zero. Costs little where there is nothing.
   */
  repairTimes(waits: LongestWaits): Promise<RepairedTimes>
}
