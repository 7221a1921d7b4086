import type { DeliveryState } from './delivery.ts'
import type { TaskStatus } from './task.ts'

export interface Counts {
  readonly deliveries: Readonly<Record<DeliveryState, number>>
  /** When the oldest delivery that is due was due (ms since the epoch); undefined if none is due. */
  readonly oldestDueAtMs: number | undefined
  readonly tasks: Readonly<Record<TaskStatus, number>>
}

/** How the store is doing. */
export interface StoreHealth {
  /** Why an append would be refused now; empty when it would not. Costs nothing. */
  faults(): readonly string[]

  /** What is damaged although appends go on, for an operator to look after. Costs nothing. */
  warnings(): readonly string[]

  /** May be a few seconds old. */
  counts(): Promise<Counts>

  /**
   * Resolves if the store is lost for good (a failed fsync, a dead thread): the process should end. A database that cannot be
   * reached is a fault instead, and comes back.
   */
  readonly lost: Promise<Error>
}
