import type { HandlerDefinition } from '../domain/handler.ts'
import type { RateLimit } from '../domain/handler-policy.ts'
import { type RateShare, WHOLE_RATE } from '../domain/rate-share.ts'

/**
 * Up to this limit every start of a period is remembered by itself. Of a handler with a higher limit, starts within this part of a
 * period are remembered as one, as late as the last of them: the handler gets at least 255/256 of its rate, and never more than all.
 */
const MAX_REMEMBERED = 256

/** Attempts that count as started at the same time. */
export interface RememberedStart {
  readonly firstMs: number
  lastMs: number
  count: number
}

/** The attempts of one handler that started in the last period, the oldest first. */
export class RecentStarts {
  readonly #starts: RememberedStart[] = []
  #count = 0
  /** Attempts that may start before the result of a claim or of an append is known. */
  reserved = 0

  /** How many starts are remembered, for tests. */
  get size(): number {
    return this.#starts.length
  }

  /** How many attempts started within the period that ends at `nowMs`. */
  countIn(perMs: number, nowMs: number): number {
    for (let first = this.#starts[0]; first !== undefined && first.lastMs + perMs <= nowMs; first = this.#starts[0]) {
      this.#starts.shift()
      this.#count -= first.count
    }
    return this.#count
  }

  /** When fewer than `limit` attempts will have started in the period before; `Infinity` if `limit` is 0. */
  belowMs(limit: number, perMs: number): number {
    let left = this.#count
    let belowMs = Number.NEGATIVE_INFINITY
    for (const { lastMs, count } of this.#starts) {
      if (left < limit) break
      belowMs = Math.max(belowMs, lastMs + perMs)
      left -= count
    }
    return left < limit ? belowMs : Number.POSITIVE_INFINITY
  }

  add({ limit, perMs }: RateLimit, nowMs: number): RememberedStart {
    const last = this.#starts.at(-1)
    this.#count++
    if (last !== undefined && limit > MAX_REMEMBERED && nowMs - last.firstMs < perMs / MAX_REMEMBERED) {
      last.count++
      last.lastMs = Math.max(last.lastMs, nowMs)
      return last
    }
    const start = { firstMs: nowMs, lastMs: nowMs, count: 1 }
    this.#starts.push(start)
    return start
  }
}

/** By handler. A reload keeps it, so that the attempts of the handlers from before count. */
export type StartsByHandler = Map<string, RecentStarts>

export interface RateLimitsOptions {
  readonly starts?: StartsByHandler
  /** Which part of a handler's rate is this process's; all of it unless given. */
  readonly rateShareOf?: (handler: string) => RateShare
  /** A monotonic clock. */
  readonly monotonicMs?: () => number
}

/**
 * Holds back attempts of handlers with a `rate`: of each, at most `limit` start in any period of `perMs`, the end of which does not
 * belong to it. Knows only the attempts that this process has started since its start.
 */
export class RateLimits {
  readonly #rates: ReadonlyMap<string, RateLimit>
  readonly #starts: StartsByHandler
  readonly #rateShareOf: (handler: string) => RateShare
  readonly #monotonicMs: () => number
  /** What the claim under way has reserved. */
  #asked: readonly { readonly name: string; readonly limit: number }[] = []

  /** Undefined if no handler has a rate. */
  static of(handlers: readonly HandlerDefinition[], options: RateLimitsOptions = {}): RateLimits | undefined {
    const rates = handlers.flatMap(({ name, rate }) => (rate === undefined ? [] : [[name, rate] as const]))
    return rates.length === 0 ? undefined : new RateLimits(new Map(rates), options)
  }

  constructor(
    rates: ReadonlyMap<string, RateLimit>,
    { starts = new Map(), rateShareOf = () => WHOLE_RATE, monotonicMs = () => performance.now() }: RateLimitsOptions,
  ) {
    this.#rates = rates
    this.#starts = starts
    this.#rateShareOf = rateShareOf
    this.#monotonicMs = monotonicMs
  }

  /** How many more attempts of the handler may start now. */
  free(handler: string): number {
    const rate = this.#rates.get(handler)
    if (rate === undefined) return Number.POSITIVE_INFINITY
    const recent = this.#of(handler)
    const used = recent.countIn(rate.perMs, this.#monotonicMs()) + recent.reserved
    return Math.max(0, this.#limitOf(handler, rate) - used)
  }

  has = (handler: string): boolean => this.#rates.has(handler)

  isThrottled = (handler: string): boolean => this.#rates.has(handler) && this.free(handler) === 0

  /** How long it takes until the first of the throttled handlers that `matters` accepts may start an attempt; `Infinity` if there is none. */
  nextInMs(matters: (handler: string) => boolean): number {
    const nowMs = this.#monotonicMs()
    let nextMs = Number.POSITIVE_INFINITY
    for (const [handler, rate] of this.#rates) {
      if (!matters(handler) || !this.isThrottled(handler)) continue
      const belowMs = this.#of(handler).belowMs(this.#limitOf(handler, rate), rate.perMs)
      // Otherwise reservations hold it back, and their end is not a matter of time.
      if (belowMs > nowMs) nextMs = Math.min(nextMs, belowMs)
    }
    return nextMs - nowMs
  }

  /** Reserves the start of one attempt. False if none may start. */
  reserve(handler: string): boolean {
    if (!this.#rates.has(handler)) return true
    if (this.free(handler) === 0) return false
    this.#of(handler).reserved++
    return true
  }

  release(handler: string, count = 1): void {
    if (this.#rates.has(handler)) this.#of(handler).reserved -= count
  }

  /** Reserves what a claim asks for. `answered` ends that. */
  ask(handlers: readonly { readonly name: string; readonly limit: number }[]): void {
    this.#asked = handlers.filter(({ name }) => this.#rates.has(name))
    for (const { name, limit } of this.#asked) this.#of(name).reserved += limit
  }

  answered(): void {
    for (const { name, limit } of this.#asked) this.release(name, limit)
    this.#asked = []
  }

  /** Says that an attempt starts. `ended` takes what this returns. */
  started(handler: string): RememberedStart | undefined {
    const rate = this.#rates.get(handler)
    return rate && this.#of(handler).add(rate, this.#monotonicMs())
  }

  /**
   * Says how long the attempt took. Its handler process may have begun it later than it was sent there, and that time is the one that
   * counts.
   */
  ended(start: RememberedStart, durationMs: number): void {
    start.lastMs = Math.max(start.lastMs, this.#monotonicMs() - durationMs)
  }

  #of(handler: string): RecentStarts {
    let recent = this.#starts.get(handler)
    if (recent === undefined) this.#starts.set(handler, (recent = new RecentStarts()))
    return recent
  }

  #limitOf(handler: string, { limit }: RateLimit): number {
    const { place, count } = this.#rateShareOf(handler)
    return Math.floor(limit / count) + (place < limit % count ? 1 : 0)
  }
}
