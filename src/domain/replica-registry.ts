import type { HandlerDefinition } from './handler.ts'

/** A process that shares a store with others. */
export interface Replica {
  /** UUIDv7, of this run of it. */
  readonly uid: string
  /** Undefined: it runs no handlers (ROLE=ingest). An empty list is a worker without handlers. */
  readonly handlers: readonly HandlerDefinition[] | undefined
}

/**
 * The processes that share a store, and the handlers that they run. An event is routed in the transaction that keeps it, and
 * must be routed the same by whichever process receives it, also by one that has no handler modules of its own.
 */
export interface ReplicaRegistry {
  /**
   * Tells the other processes that this one is there, and which handlers it runs. Repeated within `REPLICA_TIMEOUT_MS`, or the
   * process counts as gone. Rejects with `unavailable`.
   */
  announce(replica: Replica): Promise<void>

  /** This process ends in an orderly way. */
  leave(uid: string): Promise<void>

  /**
   * The handlers of all processes (see `handlersOfReplicas`). Undefined: no process that runs handlers was ever there, so it is
   * not known where an event goes. Resolves with the same array as before if nothing has changed.
   */
  handlers(): Promise<readonly HandlerDefinition[] | undefined>

  /** Whether another process was there at the last call of `handlers`. */
  hasOthers(): boolean
}

/** A process that has not announced itself for so long is gone. */
export const REPLICA_TIMEOUT_MS = 60_000
/** How long the handlers of a process that is gone stay known, if no other process takes its place while others are there. */
export const REPLICA_MEMORY_MS = 7 * 86_400_000

/** A process as the store knows it. */
export interface KnownReplica {
  readonly uid: string
  readonly startedAtMs: number
  /** Undefined: it is there. */
  readonly goneAtMs: number | undefined
  readonly handlers: readonly HandlerDefinition[]
}

/**
 * The processes whose handlers count: those that are there, and those that are gone without a successor. A successor started
 * later and runs a handler of the same name. So workers that crashed, or are stopped for an hour, get their events when they
 * are back, while a handler that a new release has left out is no longer known. In order of their start.
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

/** The handlers of these processes, in order of name; of several with the same name, the last process's registration counts. */
export function handlersOfReplicas(counting: readonly KnownReplica[]): readonly HandlerDefinition[] {
  const byName = new Map(
    counting.flatMap(({ handlers }) => handlers.map((handler) => [handler.name, handler] as const)),
  )
  return [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}
