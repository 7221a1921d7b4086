import type { Logger } from 'pino'
import { HoldfastError, messageOf } from '../domain/errors.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import { newUid } from '../domain/names.ts'
import type { ReplicaRegistry } from '../domain/replica-registry.ts'
import { type CompiledRoutes, compileBetween, type Route, routeBy } from '../pipeline/routes.ts'

/** So often a process says that it is there, and asks who else is. */
const ANNOUNCE_INTERVAL_MS = 10_000
const REFRESH_INTERVAL_MS = 1_000

const NOBODY = 'no worker has registered its handlers yet'
const NONE: readonly HandlerDefinition[] = []

/** By which handlers events are routed here. */
export interface RoutedHandlers {
  /** Those that can be routed to; the same array, until they change. */
  readonly handlers: () => readonly HandlerDefinition[]
  /** Throws `unavailable` while nobody can tell where an event goes. */
  readonly route: Route
  /** Whether another process may append to the same store. */
  readonly hasOthers: () => boolean
  /** Why nothing can be routed; empty: it can. */
  readonly faults: () => readonly string[]
  readonly leave: () => Promise<void>
}

/** Of a process that has its store to itself: its own. */
export const ownHandlers = (handlers: readonly HandlerDefinition[], route: Route): RoutedHandlers => ({
  handlers: () => handlers,
  route,
  hasOthers: () => false,
  faults: () => [],
  leave: async () => {},
})

export interface MembershipOptions {
  readonly registry: ReplicaRegistry
  /** Undefined: this process runs no handlers. */
  readonly own: readonly HandlerDefinition[] | undefined
  readonly log: Logger
  /** For tests. */
  readonly refreshMs?: number
  readonly announceMs?: number
}

/**
 * Of a process that shares its store: those of the whole fleet. Events are routed at the door, so that an event and its
 * deliveries are one transaction and there is no state in which nobody knows what an event waits for. Hence whoever takes
 * events in has to know the handlers of all: each worker writes its own down, in the database that all share, and all read
 * what is there. Handlers of workers that are gone stay known until others take their place (`countingReplicas`), so that
 * what comes meanwhile waits for them. An event that comes within a second of a handler's first registration may not know
 * it yet, just as one that had come before it.
 *
 * Resolves once this process's own handlers are known to the others and theirs here. From then on a database that is away
 * leaves the routes as they were.
 */
export async function joinReplicas(options: MembershipOptions): Promise<RoutedHandlers> {
  const membership = new Membership(options)
  await membership.join()
  return {
    handlers: () => membership.handlers(),
    route: (source, fields, bodyBytes) => membership.route()(source, fields, bodyBytes),
    hasOthers: () => options.registry.hasOthers(),
    faults: () => membership.faults(),
    leave: () => membership.leave(),
  }
}

class Membership {
  readonly #options: MembershipOptions
  readonly #uid = newUid()
  #timer: NodeJS.Timeout | undefined
  #passing: Promise<void> | undefined
  #announcedAtMs = Number.NEGATIVE_INFINITY
  #isAway = false
  /** What the fleet said last, understood or not. */
  #heard: readonly HandlerDefinition[] | undefined
  #handlers: readonly HandlerDefinition[] = NONE
  #routes: CompiledRoutes = new Map()
  #route: Route | undefined
  #fault = NOBODY

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  handlers = (): readonly HandlerDefinition[] => this.#handlers
  faults = (): readonly string[] => (this.#route === undefined ? [this.#fault] : [])

  route(): Route {
    if (this.#route === undefined) throw new HoldfastError('unavailable', this.#fault)
    return this.#route
  }

  async join(): Promise<void> {
    await this.#exchange()
    const [fault] = this.faults()
    if (fault !== undefined) this.#options.log.warn({ reason: fault }, 'webhooks are not taken yet')
    this.#timer = setInterval(() => {
      this.#passing ??= this.#pass().finally(() => {
        this.#passing = undefined
      })
    }, this.#options.refreshMs ?? REFRESH_INTERVAL_MS).unref()
  }

  /** Whom nobody can tell finds out after `REPLICA_TIMEOUT_MS`. */
  async leave(): Promise<void> {
    clearInterval(this.#timer)
    await this.#passing
    if (this.#isAway) return
    try {
      await this.#options.registry.leave(this.#uid)
    } catch (error) {
      this.#options.log.warn({ error: messageOf(error) }, 'the fleet could not be told that this process goes')
    }
  }

  /** Tells of an outage once, and of its end. */
  async #pass(): Promise<void> {
    const { log } = this.#options
    try {
      await this.#exchange()
      if (this.#isAway) log.info('the fleet can be asked for its handlers again')
      this.#isAway = false
    } catch (error) {
      if (!this.#isAway) log.warn({ error: messageOf(error) }, 'the fleet cannot be asked for its handlers')
      this.#isAway = true
    }
  }

  async #exchange(): Promise<void> {
    const { registry, own, announceMs = ANNOUNCE_INTERVAL_MS } = this.#options
    if (performance.now() - this.#announcedAtMs >= announceMs) {
      await registry.announce({ uid: this.#uid, handlers: own })
      this.#announcedAtMs = performance.now()
    }
    await this.#follow(await registry.handlers())
  }

  async #follow(heard: readonly HandlerDefinition[] | undefined): Promise<void> {
    if (heard === undefined || heard === this.#heard) return
    this.#heard = heard
    // Workers come and go, and mostly run what those before them ran.
    if (this.#route !== undefined && JSON.stringify(heard) === JSON.stringify(this.#handlers)) return
    try {
      const isFirst = this.#route === undefined
      this.#routes = await compileBetween(heard, this.#routes)
      this.#route = routeBy([...this.#routes.values()])
      if (!isFirst || this.#timer !== undefined) this.#tellOfChange(this.#handlers, heard)
      this.#handlers = heard
    } catch (error) {
      // A release that this one does not understand: what it knew goes on.
      this.#fault = `the handlers of the fleet cannot be routed to: ${messageOf(error)}`
      this.#options.log.error({ error: messageOf(error) }, 'the handlers of the fleet cannot be routed to')
    }
  }

  #tellOfChange(before: readonly HandlerDefinition[], now: readonly HandlerDefinition[]): void {
    const names = (handlers: readonly HandlerDefinition[]) => new Set(handlers.map(({ name }) => name))
    const [old, known] = [names(before), names(now)]
    this.#options.log.info(
      { added: [...known.difference(old)], removed: [...old.difference(known)] },
      'the handlers of the fleet have changed',
    )
  }
}
