import { setTimeout as sleep } from 'node:timers/promises'
import type { BreakerState } from '../domain/source.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import type { CallError } from './provider-calls.ts'

/** Each this many bytes of an answer cost as much as a call, since reading them is work. One answer costs at most the calls of a second. */
const BYTES_PER_CALL = 65_536

interface CallThrottleOptions {
  readonly perSecond: number
  /** How long the circuit stays open. */
  readonly pauseMs: number
  /** A monotonic clock, so that setting the system's clock cannot make a pause longer. */
  readonly monotonicMs: () => number
  /** Aborted when the service stops. */
  readonly stopping: AbortSignal
  readonly onChange: (state: BreakerState) => void
}

/**
 * Limits the calls of one source to its provider: a number of calls per second, no calls for as long as the provider's `Retry-After`
 * says, and only single probes while the circuit is open.
 */
export class CallThrottle {
  readonly #limiter: RateLimiter
  readonly #perSecond: number
  readonly #breaker: CircuitBreaker
  readonly #monotonicMs: () => number
  readonly #stopping: AbortSignal
  #pausedUntilMs = Number.NEGATIVE_INFINITY

  constructor({ perSecond, pauseMs, monotonicMs, stopping, onChange }: CallThrottleOptions) {
    this.#limiter = new RateLimiter(perSecond, monotonicMs)
    this.#perSecond = perSecond
    this.#breaker = new CircuitBreaker(monotonicMs, pauseMs, onChange)
    this.#monotonicMs = monotonicMs
    this.#stopping = stopping
  }

  state = (): BreakerState => this.#breaker.state()

  /** As the circuit breaker says. */
  failing = (): ReturnType<CircuitBreaker['failing']> => this.#breaker.failing()

  /** How many of `count` calls may be made now. */
  allowed(count: number): number {
    return this.#isPaused() ? 0 : this.#breaker.allowed(Math.min(count, this.#limiter.available()))
  }

  /** Whether the rate limit is the only reason why no call may be made now. */
  isRateLimited = (): boolean => !this.#isPaused() && this.#breaker.allowed(1) > 0 && this.#limiter.available() === 0

  /** The time until the rate limit allows the next call. */
  waitMs = (): number => this.#limiter.waitMs()

  /** Makes a call when the rate limit allows it. Undefined: the call was not made, because the circuit is open or the service stops. */
  async call<Result>(
    make: () => Promise<Result>,
    errorOf: (result: Result) => CallError | undefined,
  ): Promise<Result | undefined> {
    await this.sleep(this.#limiter.reserve())
    if (this.#stopping.aborted) return undefined
    const made = await this.#breaker.run(async () => {
      const result = await make()
      return { result, error: errorOf(result) }
    })
    this.#pauseAfter(made?.error)
    return made?.result
  }

  /** Charges for the bytes of an answer that was read. */
  chargeBytes(bytes: number): void {
    this.#limiter.charge(Math.min(this.#perSecond, Math.floor(bytes / BYTES_PER_CALL)))
  }

  /** Resolves after the time, or when the service stops. */
  async sleep(ms: number): Promise<void> {
    if (ms > 0) await sleep(ms, undefined, { signal: this.#stopping }).catch(() => {})
  }

  #isPaused = (): boolean => this.#monotonicMs() < this.#pausedUntilMs

  /** Pauses all calls of the source, because a provider's overload does not depend on the task. */
  #pauseAfter({ outcome, retryAfterMs = 0 }: Partial<CallError> = {}): void {
    if (outcome !== 'rate_limited' && outcome !== 'server_error') return
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#monotonicMs() + retryAfterMs)
  }
}

/** A token bucket: `perSecond` tokens are added each second, and after a pause as many may be taken at once. */
export class RateLimiter {
  readonly #perSecond: number
  readonly #monotonicMs: () => number
  #tokens: number
  #filledAtMs: number

  constructor(perSecond: number, monotonicMs: () => number) {
    this.#perSecond = perSecond
    this.#monotonicMs = monotonicMs
    this.#tokens = this.#capacity()
    this.#filledAtMs = monotonicMs()
  }

  /** Tokens that can be taken now. */
  available(): number {
    this.#fill()
    return Math.max(0, Math.floor(this.#tokens))
  }

  /** The time until the next token can be taken. */
  waitMs(): number {
    this.#fill()
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) * 1_000) / this.#perSecond)
  }

  /** Takes one token. Returns after how many milliseconds the caller may use it; later callers wait longer. */
  reserve(): number {
    const waitMs = this.waitMs()
    this.#tokens--
    return waitMs
  }

  /** Takes tokens for work that was already done: the next callers wait longer. */
  charge(tokens: number): void {
    this.#fill()
    this.#tokens -= tokens
  }

  #fill(): void {
    const nowMs = this.#monotonicMs()
    const gained = (Math.max(0, nowMs - this.#filledAtMs) * this.#perSecond) / 1_000
    this.#tokens = Math.min(this.#capacity(), this.#tokens + gained)
    this.#filledAtMs = nowMs
  }

  #capacity = (): number => Math.max(1, this.#perSecond)
}
