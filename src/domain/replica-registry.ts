import type { Role } from './config.ts'
import type { HandlerDefinition } from './handler.ts'

/** A process that shares a store with others. */
export interface Replica {
  /** UUIDv7. Each start of a process has its own. */
  readonly uid: string
  /** Undefined: the process runs no handlers (ROLE=ingest). An empty list: a worker without handlers. */
  readonly handlers: readonly HandlerDefinition[] | undefined
  /** Undefined: the process does not tell. */
  readonly role?: Role
}

/** A process that runs, as the others see it. */
export interface RunningReplica {
  readonly uid: string
  readonly role: Role
  /** How many handlers it has. */
  readonly handlers: number
  /** When it began to run its present handlers. */
  readonly sinceMs: number
  /** When it last announced itself. */
  readonly seenAtMs: number
}

/**
 * The processes that share a store, and the handlers that they run. An event and its deliveries are stored in one transaction, so the
 * process that receives an event routes it. Every process must route it in the same way, also one that has no handler modules.
 */
export interface ReplicaRegistry {
  /**
   * Tells the other processes that this one runs, and which handlers it has. The process must repeat this within
   * `REPLICA_TIMEOUT_MS`; otherwise it counts as gone. If its handlers have changed, it counts as started now. Rejects with
   * `unavailable`.
   */
  announce(replica: Replica): Promise<void>

  /** Tells the other processes that this one stops. */
  leave(uid: string): Promise<void>

  /**
   * The handlers of all processes (see `handlersOfReplicas`). Undefined: no process with handlers has ever announced itself, so
   * events cannot be routed. Resolves with the same array as before if nothing has changed.
   */
  handlers(): Promise<readonly HandlerDefinition[] | undefined>

  /**
   * The processes with handlers that had announced themselves within `WORKER_SILENCE_MS` at the last call of `handlers`, in order of
   * their start. The same array until they change.
   */
  workers(): readonly Replica[]

  /** How many processes of each role run. One that does not tell its role does all, unless it runs no handlers. */
  roles(): Promise<ReadonlyMap<Role, number>>

  /** The processes that run, in order of their start. Roles as `roles` tells them. */
  running(): Promise<readonly RunningReplica[]>

  /** Whether another process was running at the last call of `handlers`. */
  hasOthers(): boolean
}

/** A process that has not announced itself for this time counts as gone. */
export const REPLICA_TIMEOUT_MS = 60_000
/**
 * A worker that has not announced itself for this time no longer has a share of the rates of its handlers. It announces itself every
 * ten seconds.
 */
export const WORKER_SILENCE_MS = 25_000
/** How long the handlers of a process that is gone still count while other processes run and none of them replaces it. */
export const REPLICA_MEMORY_MS = 7 * 86_400_000

/** A process as the store knows it. */
export interface KnownReplica {
  readonly uid: string
  readonly startedAtMs: number
  /** Undefined: it is running. */
  readonly goneAtMs: number | undefined
  readonly handlers: readonly HandlerDefinition[]
}

/**
 * The processes whose handlers count, in order of their start: those that are running, and those that are gone and were not replaced
 * (`REPLICA_MEMORY_MS`). A process is replaced by one that started later and runs a handler of the same name. So workers that
 * crashed, or are stopped for an hour, get their events when they are back, while a handler that a new release has removed does not
 * count any more.
 */
export function countingReplicas(known: readonly KnownReplica[], nowMs: number): readonly KnownReplica[] {
  const inOrder = known.toSorted((a, b) => a.startedAtMs - b.startedAtMs || (a.uid < b.uid ? -1 : 1))
  const isAnyThere = known.some(({ goneAtMs }) => goneAtMs === undefined)
  return inOrder.filter(({ goneAtMs, handlers }, at) => {
    if (goneAtMs === undefined) return true
    const names = new Set(handlers.map(({ name }) => name))
    const isReplaced = inOrder.slice(at + 1).some((later) => later.handlers.some(({ name }) => names.has(name)))
    return !isReplaced && (!isAnyThere || goneAtMs > nowMs - REPLICA_MEMORY_MS)
  })
}

/** The handlers of these processes, in order of name. If several have the same name, the one of the last process counts. */
export function handlersOfReplicas(counting: readonly KnownReplica[]): readonly HandlerDefinition[] {
  const byName = new Map(
    counting.flatMap(({ handlers }) => handlers.map((handler) => [handler.name, handler] as const)),
  )
  return [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}
