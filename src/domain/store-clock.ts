import type { ClockLook, ClockRecord } from './clock.ts'

/** The longest waits that Holdfast ever sets. A time that lies further ahead was written by a clock that was ahead. */
export interface LongestWaits {
  /** The wait of a delivery for its next attempt after a failure. */
  readonly retryMs: number
  /** The wait of a delivery whose handler called `retryAfter`. */
  readonly retryAfterMs: number
  /** The wait of a task from one poll to the next. Does not apply to a submission whose outcome is unknown: it waits for its deadline. */
  readonly pollMs: number
  /** The lease of a delivery. */
  readonly leaseMs: number
  /** The clock is trusted, so that times of past events may be corrected too. */
  readonly isTrusted: boolean
}

/** How many rows had a time set back to now. */
export interface RepairedTimes {
  /** Events whose time of receipt lay ahead. */
  readonly events: number
  /** Deliveries whose due time or lease lay further ahead than any wait, whose time of death lay ahead, or whose event did. */
  readonly deliveries: number
  readonly tasks: number
}

/** The most rows of each kind that one call of `repairTimes` sets back. */
export const MAX_REPAIRED_ROWS = 200

/** The clock of the store's times: with PostgreSQL the server's, for all replicas; with SQLite this process's. */
export interface StoreClock {
  /**
   * Reads the clock, and stores for all processes whether it is trusted. `lookedAtMs` of the result is the clock's time now. If an
   * operator confirms a clock that is not right, rejects with `conflict` and stores nothing: see `judgeClock` in `clock.ts`. If the
   * clock becomes trusted again, events that it dated while it was behind count as received now: see `misdatedBefore`.
   */
  judgeClock(look: ClockLook): Promise<ClockRecord>

  /**
   * Sets times back to now that a clock which was ahead has written:
   * - due times of deliveries and tasks that lie further ahead than any wait;
   * - ends of leases that began ahead: such a lease then lasts as long as a new one;
   * - with PostgreSQL, the times at which replicas last announced themselves;
   * - only if the clock is trusted: times of receipt, of death, and of a task's beginning and end, that lie over a minute ahead.
   *
   * One call repairs a bounded number of rows; the caller repeats it until all numbers are zero. A call that finds nothing is cheap.
   */
  repairTimes(waits: LongestWaits): Promise<RepairedTimes>
}
