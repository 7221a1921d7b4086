import type { HandlerDefinition } from './handler.ts'

/** A process that shares a store with others. */
export interface Replica {
  /** UUIDv7, of this run of it. */
  readonly uid: string
  /** Undefined: it runs no handlers (ROLE=ingest). An empty list is a worker without handlers. */
  readonly handlers: readonly HandlerDefinition[] | undefined
}

/**
 * What the processes that share a store know of each other: which handlers there are. An event is routed where it arrives,
 * in the transaction that keeps it, and must be routed the same whoever takes it in, also by a process that has no handler
 * modules of its own.
 */
export interface Fleet {
  /**
   * Tells the others that this process is there, and which handlers it runs; again and again, within `FLEET_TIMEOUT_MS`, or
   * it counts as gone. Rejects with `unavailable`.
   */
  announce(replica: Replica): Promise<void>

  /** This process goes, in order. */
  leave(uid: string): Promise<void>

  /**
   * The handlers of the fleet (see `handlersOfFleet`); undefined: no process that runs handlers was ever there, so that
   * nobody can tell where an event goes. The very same array as before, if nothing has changed.
   */
  handlers(): Promise<readonly HandlerDefinition[] | undefined>

  /** Whether another process was there when `handlers` was asked last. */
  hasOthers(): boolean
}

/** A process that has not been heard of for so long is gone. */
export const FLEET_TIMEOUT_MS = 60_000
/** How long the handlers of a process that is gone stay known, if none takes its place while others are there. */
export const FLEET_MEMORY_MS = 7 * 86_400_000

/** A process as the store knows it. */
export interface KnownReplica {
  readonly uid: string
  readonly startedAtMs: number
  /** Undefined: it is there. */
  readonly goneAtMs: number | undefined
  readonly handlers: readonly HandlerDefinition[]
}

/**
 * The processes that say which handlers there are. Those that are there; and of those that are gone, each in whose place no
 * later one has come, which is one that runs a handler of the same name: workers that crashed, or are stopped for an hour,
 * get their events when they are back, while a handler that a new release has left out is known no more. The one that
 * started last comes last.
 */
export function countingReplicas(known: readonly KnownReplica[], nowMs: number): readonly KnownReplica[] {
  const inOrder = known.toSorted((a, b) => a.startedAtMs - b.startedAtMs || (a.uid < b.uid ? -1 : 1))
  const isAnyThere = known.some(({ goneAtMs }) => goneAtMs === undefined)
  return inOrder.filter(({ goneAtMs, handlers }, at) => {
    if (goneAtMs === undefined) return true
    const names = new Set(handlers.map(({ name }) => name))
    const isReplaced = inOrder.slice(at + 1).some((later) => later.handlers.some(({ name }) => names.has(name)))
    return !isReplaced && (!isAnyThere || goneAtMs > nowMs - FLEET_MEMORY_MS)
  })
}

/** The handlers of a fleet, in order of name; where several processes have one of the same name, the last says what it takes. */
export function handlersOfFleet(counting: readonly KnownReplica[]): readonly HandlerDefinition[] {
  const byName = new Map(
    counting.flatMap(({ handlers }) => handlers.map((handler) => [handler.name, handler] as const)),
  )
  return [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}
