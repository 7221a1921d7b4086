import type { Logger } from 'pino'
import { HoldfastError, messageOf } from './domain/errors.ts'
import type { Fleet } from './domain/fleet.ts'
import type { HandlerRegistration } from './domain/handler.ts'
import { compileRoutes, type Route } from './domain/routes.ts'
import { newUid } from './domain/uid.ts'

/** So often a process says that it is there, and asks who else is. */
const ANNOUNCE_INTERVAL_MS = 10_000
const REFRESH_INTERVAL_MS = 1_000

const NOBODY = 'no worker has registered its handlers yet'
const NONE: readonly HandlerRegistration[] = []

/** By which handlers events are routed here. */
export interface RoutedHandlers {
  /** The same array, until they change. */
  readonly registrations: () => readonly HandlerRegistration[]
  /** Throws `unavailable` while nobody can tell where an event goes. */
  readonly route: Route
  /** Why nothing can be routed; empty: it can. */
  readonly faults: () => readonly string[]
  readonly leave: () => Promise<void>
}

/** Of a process that has its store to itself: its own. */
export const ownHandlers = (registrations: readonly HandlerRegistration[], route: Route): RoutedHandlers => ({
  registrations: () => registrations,
  route,
  faults: () => [],
  leave: async () => {},
})

export interface MembershipOptions {
  readonly fleet: Fleet
  /** Undefined: this process runs no handlers. */
  readonly own: readonly HandlerRegistration[] | undefined
  readonly log: Logger
  readonly refreshMs?: number
  readonly announceMs?: number
}

/**
 * Of a process that shares its store: those of the whole fleet. Events are routed at the door, so that an event and its
 * deliveries are one transaction and there is no state in which nobody knows what an event waits for. Hence whoever takes
 * events in has to know the handlers of all: each worker writes its own down, in the database that all share, and all read
 * what is there. An event that comes within a second of a handler's first registration may not know it yet, just as one that
 * had come before it.
 *
 * Resolves once this process's own handlers are known to the others and theirs here. From then on a database that is away
 * leaves the routes as they were.
 */
export async function joinFleet(options: MembershipOptions): Promise<RoutedHandlers> {
  const membership = new Membership(options)
  await membership.join()
  return {
    registrations: () => membership.registrations(),
    route: (source, fields) => membership.route()(source, fields),
    faults: () => membership.faults(),
    leave: () => membership.leave(),
  }
}

class Membership {
  readonly #options: MembershipOptions
  readonly #uid = newUid()
  readonly #timers: NodeJS.Timeout[] = []
  #registrations: readonly HandlerRegistration[] | undefined
  #route: Route | undefined
  #isAway = false
  #refreshing: Promise<void> | undefined

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  registrations = (): readonly HandlerRegistration[] => this.#registrations ?? NONE
  faults = (): readonly string[] => (this.#route === undefined ? [NOBODY] : [])

  route(): Route {
    if (this.#route === undefined) throw new HoldfastError('unavailable', NOBODY)
    return this.#route
  }

  async join(): Promise<void> {
    const { refreshMs = REFRESH_INTERVAL_MS, announceMs = ANNOUNCE_INTERVAL_MS } = this.#options
    await this.#announce()
    await this.#refresh()
    this.#timers.push(
      setInterval(() => void this.#attempt(() => this.#announce()), announceMs).unref(),
      setInterval(() => {
        this.#refreshing ??= this.#attempt(() => this.#refresh()).finally(() => {
          this.#refreshing = undefined
        })
      }, refreshMs).unref(),
    )
  }

  async leave(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await this.#refreshing
    await this.#attempt(() => this.#options.fleet.leave(this.#uid))
  }

  #announce(): Promise<void> {
    return this.#options.fleet.announce({ uid: this.#uid, handlers: this.#options.own })
  }

  async #refresh(): Promise<void> {
    const registrations = await this.#options.fleet.handlers()
    if (registrations === this.#registrations) return
    const before = this.#registrations
    this.#registrations = registrations
    if (registrations === undefined) return
    try {
      this.#route = compileRoutes(registrations)
      if (before !== undefined) this.#tellOfChange(before, registrations)
    } catch (error) {
      // A release that this one does not understand: what it knew goes on.
      this.#options.log.error({ error: messageOf(error) }, 'the handlers of the fleet cannot be routed to')
    }
  }

  #tellOfChange(before: readonly HandlerRegistration[], now: readonly HandlerRegistration[]): void {
    const names = (handlers: readonly HandlerRegistration[]) => new Set(handlers.map(({ name }) => name))
    const [old, known] = [names(before), names(now)]
    this.#options.log.info(
      { added: [...known.difference(old)], removed: [...old.difference(known)] },
      'the handlers of the fleet have changed',
    )
  }

  /** Once for each outage. */
  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
      this.#isAway = false
    } catch (error) {
      if (!this.#isAway)
        this.#options.log.warn({ error: messageOf(error) }, 'the fleet cannot be asked for its handlers')
      this.#isAway = true
    }
  }
}
