import type { HandlerDefinition } from '../domain/handler.ts'
import type { FreeCapacity } from './pool/shared-processes.ts'
import type { RateLimits } from './rate-limits.ts'

/** The part of the pool that says how many attempts may start. */
export interface PoolCapacity {
  /** How many attempts all processes together may run beyond the configured number. */
  readonly extra: number
  /** The `stable` number of `free()`. */
  readonly freeStable: number
  free(): FreeCapacity
  isUnstable(handler: string): boolean
  mayStart(handler: string): boolean
}

/**
 * How many attempts of each handler run, by its name. A reload keeps it: attempts that the handlers from before have started count
 * like any others.
 */
export type RunningAttempts = Map<string, number>

/** Counts the running attempts of each handler, and computes how many more may start: by concurrency, capacity and rate. */
export class ConcurrencyLimits {
  readonly #pool: PoolCapacity
  readonly #concurrency: ReadonlyMap<string, number>
  readonly #running: RunningAttempts
  readonly #rates: RateLimits | undefined
  /** Capacity that is kept free for events that are being stored. */
  #reserved = 0

  constructor(
    pool: PoolCapacity,
    handlers: readonly HandlerDefinition[],
    running: RunningAttempts = new Map(),
    rates?: RateLimits,
  ) {
    this.#pool = pool
    this.#concurrency = new Map(
      handlers.map(({ name, concurrency }) => [name, concurrency ?? Number.POSITIVE_INFINITY]),
    )
    this.#running = running
    this.#rates = rates
  }

  /** Keeps configured capacity free for one attempt of a handler. False if there is none. */
  reserve(handler: string): boolean {
    const { configured } = this.#free()
    const running = this.running(handler)
    if (configured === 0 || this.#pool.isUnstable(handler) || running >= (this.#concurrency.get(handler) ?? 0))
      return false
    if (this.#rates?.reserve(handler) === false) return false
    this.#reserved++
    this.started(handler)
    return true
  }

  release(handler: string): void {
    this.#reserved--
    this.#rates?.release(handler)
    this.ended(handler)
  }

  started(handler: string): void {
    this.#running.set(handler, this.running(handler) + 1)
  }

  ended(handler: string): void {
    this.#running.set(handler, this.running(handler) - 1)
  }

  running = (handler: string): number => this.#running.get(handler) ?? 0

  /** Whether `limits` would name the handler, at less cost: called for each handler with deliveries leased ahead as an attempt ends. */
  mayStart(handler: string): boolean {
    const running = this.running(handler)
    if (running >= (this.#concurrency.get(handler) ?? 0) || this.#rates?.isThrottled(handler) === true) return false
    if (this.#pool.isUnstable(handler)) return this.#pool.mayStart(handler) && this.#pool.free().unstable > 0
    const { configured, all } = this.#free()
    return configured > 0 || (all > 0 && running < shareOfExtra(this.#pool.extra, this.#stableCount()))
  }

  #stableCount(): number {
    let count = 0
    for (const handler of this.#concurrency.keys()) if (!this.#pool.isUnstable(handler)) count++
    return count
  }

  /** How many more attempts of each handler may start, and how many in all. A handler of which none may start is left out. */
  limits(): { readonly handlers: readonly { name: string; limit: number; running: number }[]; readonly total: number } {
    const { unstable } = this.#pool.free()
    const { configured, all } = this.#free()
    const counts = [...this.#concurrency.keys()].map((handler) => [handler, this.running(handler)] as const)
    const stableHandlers = new Map(counts.filter(([handler]) => !this.#pool.isUnstable(handler)))
    const shares = shareCapacity({ configured, all, extra: this.#pool.extra }, stableHandlers)
    const handlers = counts.flatMap(([name, running]) => {
      const share = shares.get(name) ?? (this.#pool.mayStart(name) ? unstable : 0)
      const most = Math.min(share, (this.#concurrency.get(name) ?? 0) - running)
      const limit = this.#rates === undefined ? most : Math.min(most, this.#rates.free(name))
      return limit > 0 ? [{ name, limit, running }] : []
    })
    const isAnyUnstable = handlers.some(({ name }) => !stableHandlers.has(name))
    return { handlers, total: (configured > 0 ? configured : all) + (isAnyUnstable ? unstable : 0) }
  }

  /** Capacity that is neither used nor reserved: `configured` is without the extra capacity, `all` is with it. */
  #free(): { readonly configured: number; readonly all: number } {
    const all = Math.max(0, this.#pool.freeStable - this.#reserved)
    return { configured: Math.max(0, all - this.#pool.extra), all }
  }
}

interface CapacityToShare {
  /** Free configured capacity; 0 while any of the extra capacity is in use. */
  readonly configured: number
  /** All free capacity, the extra part included. */
  readonly all: number
  /** The whole extra capacity. */
  readonly extra: number
}

/**
 * How many more attempts of each handler may start. While configured capacity is free, a handler may use all of it. While none
 * is free, a handler may still start attempts in the extra capacity, as long as it runs fewer attempts than its share of the
 * extra capacity. So a handler whose attempts hang or wait cannot starve the others, and a handler that is alone may use all
 * configured capacity.
 */
export function shareCapacity(
  free: CapacityToShare,
  running: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const { configured, all, extra } = free
  const share = shareOfExtra(extra, running.size)
  return new Map(
    [...running].map(([handler, count]) => [handler, Math.max(configured, Math.min(all, share - count), 0)]),
  )
}

/** How many attempts a handler may run at most to get extra capacity. */
const shareOfExtra = (extra: number, handlers: number): number =>
  handlers < 2 ? 0 : Math.max(1, Math.floor(extra / (handlers - 1)))
