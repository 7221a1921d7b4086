import type { DeliveryState } from './delivery.ts'
import type { TaskStatus } from './task.ts'

export interface Counts {
  readonly deliveries: Readonly<Record<DeliveryState, number>>
  /** When the oldest delivery that is due, of a handler that is not paused, was due (ms since the epoch); undefined if none is due. */
  readonly oldestDueAtMs: number | undefined
  readonly tasks: Readonly<Record<TaskStatus, number>>
  /** Handlers for which deliveries wait, and which are not among those that the caller names; 100 at most. */
  readonly unserved?: readonly string[]
}

export interface StoreSize {
  /** The database, with SQLite including its log. */
  readonly bytes: number
  /** The space that is left on its disk; undefined: the store cannot tell. */
  readonly freeBytes: number | undefined
}

/** The state of the store, for readiness and metrics. */
export interface StoreHealth {
  /** Why the store would refuse an append now; empty if it would not. Does not query the database. */
  faults(): readonly string[]

  /** Damage that does not prevent appends, for an operator to repair. Does not query the database. */
  warnings(): readonly string[]

  /** The numbers may be a few seconds old. With `served`, handlers that run, the answer names others that have pending deliveries. */
  counts(served?: readonly string[]): Promise<Counts>

  /** May be a minute old. */
  size(): Promise<StoreSize>

  /**
   * Resolves if the store can never work again in this process (a failed fsync, a dead thread): the process should end. A database
   * that cannot be reached is a fault instead, since it may come back.
   */
  readonly lost: Promise<Error>
}
