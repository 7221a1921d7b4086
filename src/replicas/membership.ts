import type { Logger } from 'pino'
import type { Role } from '../domain/config.ts'
import { HoldfastError, messageOf } from '../domain/errors.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import { newUid } from '../domain/names.ts'
import { type RateShare, rateShareOf, WHOLE_RATE } from '../domain/rate-share.ts'
import type { Replica, ReplicaRegistry } from '../domain/replica-registry.ts'
import { type CompiledRoutes, compileBetween, type Route, routeBy } from '../pipeline/routes.ts'

/** How often a process announces itself, and how often it reads the handlers of the others. */
const ANNOUNCE_INTERVAL_MS = 10_000
const REFRESH_INTERVAL_MS = 1_000

const NO_WORKER = 'no worker has registered its handlers yet'
const NONE: readonly HandlerDefinition[] = []

/** The handlers that this process routes events to. */
export interface RoutedHandlers {
  /** The handlers; the same array until they change. */
  readonly handlers: () => readonly HandlerDefinition[]
  /** Throws `unavailable` while the handlers are not known. */
  readonly route: Route
  /** Whether another process may append to the same store. */
  readonly hasOthers: () => boolean
  /** Which part of the handler's rate is this process's. */
  readonly rateShareOf: (handler: string) => RateShare
  /** Why events cannot be routed now; empty if they can. */
  readonly faults: () => readonly string[]
  /**
   * Replaces the handlers of this process, `route` being the route to them. Resolves once events are routed to the new ones. Rejects
   * if the other processes cannot be told; then nothing has changed.
   */
  readonly replaceOwn: (handlers: readonly HandlerDefinition[], route: Route) => Promise<void>
  readonly leave: () => Promise<void>
}

/** For a process that does not share its store: routes to its own handlers. */
export function ownHandlers(handlers: readonly HandlerDefinition[], route: Route): RoutedHandlers {
  let own = { handlers, route }
  return {
    handlers: () => own.handlers,
    route: (source, fields, bodyBytes) => own.route(source, fields, bodyBytes),
    hasOthers: () => false,
    rateShareOf: () => WHOLE_RATE,
    faults: () => [],
    replaceOwn: async (...replacement) => {
      own = { handlers: replacement[0], route: replacement[1] }
    },
    leave: async () => {},
  }
}

export interface MembershipOptions {
  readonly registry: ReplicaRegistry
  /** Undefined: this process runs no handlers. */
  readonly own: readonly HandlerDefinition[] | undefined
  readonly role?: Role
  readonly log: Logger
  /** For tests. */
  readonly refreshMs?: number
  readonly announceMs?: number
}

/**
 * The handlers of all processes that share a store. Events are routed when they are received, so that an event and its deliveries
 * are stored in one transaction, and it is always known which handlers an event waits for. So each process that receives events must
 * know the handlers of all workers: each worker writes its handlers into the shared database, and every process reads them. The
 * handlers of a worker that is gone still count until another worker replaces it (`countingReplicas`), so that events that are
 * received meanwhile wait for the worker. An event that is received less than a second after a handler is registered for the first
 * time may miss that handler, like an event that came before it.
 *
 * Resolves once the other processes know the handlers of this one, and this process knows theirs. If the database is unavailable
 * later, the routes stay as they are.
 */
export async function joinReplicas(options: MembershipOptions): Promise<RoutedHandlers> {
  const membership = new Membership(options)
  await membership.join()
  return {
    handlers: () => membership.handlers(),
    route: (source, fields, bodyBytes) => membership.route()(source, fields, bodyBytes),
    hasOthers: () => options.registry.hasOthers(),
    rateShareOf: (handler) => membership.rateShareOf(handler),
    faults: () => membership.faults(),
    replaceOwn: (handlers) => membership.replaceOwn(handlers),
    leave: () => membership.leave(),
  }
}

class Membership {
  readonly #options: MembershipOptions
  readonly #uid = newUid()
  #own: readonly HandlerDefinition[] | undefined
  #timer: NodeJS.Timeout | undefined
  #passing: Promise<void> | undefined
  #announcedAtMs = Number.NEGATIVE_INFINITY
  #isAway = false
  /** The handlers that the registry gave last, even if they could not be compiled. */
  #lastRead: readonly HandlerDefinition[] | undefined
  #handlers: readonly HandlerDefinition[] = NONE
  #routes: CompiledRoutes = new Map()
  #route: Route | undefined
  #fault = NO_WORKER
  /** The shares of rates among these workers, by handler. */
  #shares: { readonly among: readonly Replica[]; readonly byHandler: Map<string, RateShare> } | undefined

  constructor(options: MembershipOptions) {
    this.#options = options
    this.#own = options.own
  }

  handlers = (): readonly HandlerDefinition[] => this.#handlers
  faults = (): readonly string[] => (this.#route === undefined ? [this.#fault] : [])

  rateShareOf(handler: string): RateShare {
    const among = this.#options.registry.workers()
    if (this.#shares?.among !== among) this.#shares = { among, byHandler: new Map() }
    const share = this.#shares.byHandler.get(handler) ?? rateShareOf(this.#uid, handler, among)
    this.#shares.byHandler.set(handler, share)
    return share
  }

  route(): Route {
    if (this.#route === undefined) throw new HoldfastError('unavailable', this.#fault)
    return this.#route
  }

  async join(): Promise<void> {
    await this.#exchange()
    const [fault] = this.faults()
    if (fault !== undefined) this.#options.log.warn({ reason: fault }, 'webhooks are not accepted yet')
    this.#timer = setInterval(() => {
      this.#passing ??= this.#pass().finally(() => {
        this.#passing = undefined
      })
    }, this.#options.refreshMs ?? REFRESH_INTERVAL_MS).unref()
  }

  async replaceOwn(handlers: readonly HandlerDefinition[]): Promise<void> {
    if (this.#own === undefined) return
    await this.#passing
    const before = this.#own
    this.#own = handlers
    this.#announcedAtMs = Number.NEGATIVE_INFINITY
    try {
      await this.#exchange()
    } catch (error) {
      this.#own = before
      this.#announcedAtMs = Number.NEGATIVE_INFINITY
      throw error
    }
  }

  /** If this fails, the other processes find out after `REPLICA_TIMEOUT_MS`. */
  async leave(): Promise<void> {
    clearInterval(this.#timer)
    await this.#passing
    if (this.#isAway) return
    try {
      await this.#options.registry.leave(this.#uid)
    } catch (error) {
      this.#options.log.warn(
        { error: messageOf(error) },
        'this process could not tell the other replicas that it stops',
      )
    }
  }

  /** Logs the beginning and the end of an outage, once each. */
  async #pass(): Promise<void> {
    const { log } = this.#options
    try {
      await this.#exchange()
      if (this.#isAway) log.info('the handlers of the other replicas can be read again')
      this.#isAway = false
    } catch (error) {
      if (!this.#isAway) log.warn({ error: messageOf(error) }, 'the handlers of the other replicas cannot be read')
      this.#isAway = true
    }
  }

  async #exchange(): Promise<void> {
    const { registry, role, announceMs = ANNOUNCE_INTERVAL_MS } = this.#options
    if (performance.now() - this.#announcedAtMs >= announceMs) {
      await registry.announce({ uid: this.#uid, handlers: this.#own, ...(role !== undefined && { role }) })
      this.#announcedAtMs = performance.now()
    }
    await this.#follow(await registry.handlers())
  }

  async #follow(current: readonly HandlerDefinition[] | undefined): Promise<void> {
    if (current === undefined || current === this.#lastRead) return
    this.#lastRead = current
    // A new worker usually runs the same handlers as the worker that it replaces.
    if (this.#route !== undefined && JSON.stringify(current) === JSON.stringify(this.#handlers)) return
    try {
      const isFirst = this.#route === undefined
      this.#routes = await compileBetween(current, this.#routes)
      this.#route = routeBy([...this.#routes.values()])
      if (!isFirst || this.#timer !== undefined) this.#logChange(this.#handlers, current)
      this.#handlers = current
    } catch (error) {
      // Another release has written handlers that this one cannot compile: the routes stay as they are.
      this.#fault = `events cannot be routed to the handlers of the replicas: ${messageOf(error)}`
      this.#options.log.error({ error: messageOf(error) }, 'events cannot be routed to the handlers of the replicas')
    }
  }

  #logChange(before: readonly HandlerDefinition[], now: readonly HandlerDefinition[]): void {
    const names = (handlers: readonly HandlerDefinition[]) => new Set(handlers.map(({ name }) => name))
    const [old, known] = [names(before), names(now)]
    this.#options.log.info(
      { added: [...known.difference(old)], removed: [...old.difference(known)] },
      'the handlers of the replicas have changed',
    )
  }
}
