import type { AuditStore } from './audit.ts'
import type { DeadLetters } from './dead-letters.ts'
import type { DeliveryQueue } from './delivery-queue.ts'
import type { DriftStore } from './drift-store.ts'
import type { EventFacets } from './event-facets.ts'
import type { EventStore } from './event-store.ts'
import type { EventTail } from './event-tail.ts'
import type { PauseStore } from './pause.ts'
import type { PayloadIndex } from './payload-index.ts'
import type { ReplayJobs } from './replay-jobs.ts'
import type { ReplicaRegistry } from './replica-registry.ts'
import type { RetentionStore } from './retention-store.ts'
import type { StatStore } from './stat-store.ts'
import type { StoreClock } from './store-clock.ts'
import type { StoreHealth } from './store-health.ts'
import type { TaskEnds } from './task-ends.ts'
import type { TaskStore } from './task-store.ts'

/**
 * All ports of one database. `storage/open.ts` opens it, and the composition root closes it.
 *
 * Each call of a port is atomic, and calls may overlap freely. A call that the store cannot carry out rejects with `HoldfastError`
 * `unavailable`, and has then changed nothing that a reader can see. The methods name other codes where they can occur.
 */
export interface OpenStore
  extends EventStore,
    DriftStore,
    EventTail,
    DeliveryQueue,
    DeadLetters,
    TaskStore,
    TaskEnds,
    RetentionStore,
    StatStore,
    StoreClock,
    StoreHealth {
  readonly audit: AuditStore
  readonly pauses: PauseStore
  readonly payloadIndex: PayloadIndex
  readonly facets: EventFacets
  /** Undefined: no other process shares the database. */
  readonly replicas: ReplicaRegistry | undefined
  readonly replayJobs: ReplayJobs
  /** Finishes the calls that it has accepted; rejects every later call with `unavailable`. Idempotent. */
  close(): Promise<void>
}

export type StoreLog = (level: 'info' | 'warn' | 'error', message: string) => void
