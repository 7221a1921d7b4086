import { setTimeout as sleep } from 'node:timers/promises'
import type { Trouble } from './answers.ts'
import { Breaker, type BreakerState } from './breaker.ts'
import { RateLimit } from './rate-limit.ts'

/** Bytes of an answer that cost as much as a call of its own, up to the calls of one second: reading it is work. */
const BYTES_PER_CALL = 65_536

export interface GateOptions {
  readonly perSecond: number
  /** How long a provider in trouble is left alone. */
  readonly pauseMs: number
  /** Milliseconds by a clock that nobody sets: a pause is not to last until a time that was wrong. */
  readonly monotonicMs: () => number
  /** Aborted when the service stops. */
  readonly stopping: AbortSignal
  readonly onChange: (state: BreakerState) => void
}

/**
 * What stands between a source's tasks and its provider: so many calls in a second, none while it asks for patience, and a
 * trickle while it is in trouble.
 */
export class Gate {
  readonly #limit: RateLimit
  readonly #perSecond: number
  readonly #breaker: Breaker
  readonly #monotonicMs: () => number
  readonly #stopping: AbortSignal
  #pausedUntilMs = Number.NEGATIVE_INFINITY

  constructor({ perSecond, pauseMs, monotonicMs, stopping, onChange }: GateOptions) {
    this.#limit = new RateLimit(perSecond, monotonicMs)
    this.#perSecond = perSecond
    this.#breaker = new Breaker(monotonicMs, pauseMs, onChange)
    this.#monotonicMs = monotonicMs
    this.#stopping = stopping
  }

  state = (): BreakerState => this.#breaker.state()

  /** How many of these calls may be made now. */
  lets(count: number): number {
    return this.#isWilling() ? this.#breaker.lets(Math.min(count, this.#limit.available())) : 0
  }

  /** Only the rate keeps calls from being made now. */
  isShort = (): boolean => this.#isWilling() && this.#breaker.lets(1) > 0 && this.#limit.available() === 0

  /** Until the rate lets the next call be made. */
  waitMs = (): number => this.#limit.waitMs()

  /** Makes a call in its turn. Undefined: it was not made, because the circuit is open or the service stops. */
  async call<Result>(
    make: () => Promise<Result>,
    troubleOf: (result: Result) => Trouble | undefined,
  ): Promise<Result | undefined> {
    await this.turn(this.#limit.reserve())
    if (this.#stopping.aborted) return undefined
    const called = await this.#breaker.run(async () => {
      const result = await make()
      return { result, trouble: troubleOf(result) }
    })
    this.#heed(called?.trouble)
    return called?.result
  }

  /** An answer of so many bytes was read. */
  read(bytes: number): void {
    this.#limit.charge(Math.min(this.#perSecond, Math.floor(bytes / BYTES_PER_CALL)))
  }

  /** Resolves after the time, or when the service stops. */
  async turn(ms: number): Promise<void> {
    if (ms > 0) await sleep(ms, undefined, { signal: this.#stopping }).catch(() => {})
  }

  #isWilling = (): boolean => this.#monotonicMs() >= this.#pausedUntilMs

  /** Overload is the provider's, whichever task it was told for. */
  #heed({ outcome, retryAfterMs = 0 }: Partial<Trouble> = {}): void {
    if (outcome !== 'rate_limited' && outcome !== 'server_error') return
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#monotonicMs() + retryAfterMs)
  }
}
