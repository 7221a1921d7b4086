import type { Role } from './config.ts'
import type { Problem } from './problem.ts'
import type { StatTimes } from './stats.ts'
import type { Counts } from './store-health.ts'

/** Numbers of the last minutes, over all sources and processes. */
export interface RecentNumbers {
  readonly minutes: number
  readonly received: number
  readonly duplicates: number
  readonly refused: number
  readonly handled: number
  readonly failed: number
  readonly dead: number
  readonly ack: StatTimes
}

/** The service at a glance. What the store cannot tell in time is undefined. */
export interface ServiceStatus {
  readonly atMs: number
  readonly startedAtMs: number
  readonly role: Role
  /** Worst first. */
  readonly problems: readonly Problem[]
  readonly store: {
    readonly kind: 'sqlite' | 'postgres'
    /** Why it cannot store now. */
    readonly faults: readonly string[]
    readonly bytes: number | undefined
    /** What is left on its disk; undefined with PostgreSQL. */
    readonly freeBytes: number | undefined
  }
  readonly counts: Counts | undefined
  readonly recent: RecentNumbers | undefined
  /** When the last webhook of any source came. */
  readonly lastEventAtMs: number | undefined
  readonly sources: number
  readonly handlers: number
  /** The processes with handlers that share the store, this one among them; undefined: no other can. */
  readonly workers: number | undefined
}

export type ReadStatus = () => Promise<ServiceStatus>
