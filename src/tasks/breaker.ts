import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhenResult, isBrokenCircuitError } from 'cockatiel'
import type { Trouble } from './answers.ts'

/** Failures in a row after which a provider is left alone, and for how long; then one call tells whether it is back. */
export const BREAKER_FAILURES = 5
export const BREAKER_PAUSE_MS = 10_000

/**
 * Calls that tell whether it is back, of those that it answers badly: it is there, and may fail at these tasks alone. One that
 * it does not answer tells enough.
 */
export const BREAKER_PROBES = 5
const ANSWERED_BADLY: ReadonlySet<Trouble['outcome']> = new Set(['server_error', 'invalid'])

export type BreakerState = 'closed' | 'open' | 'half_open'

/** What came of a call. What is wrong with one task alone keeps nobody from the others. */
export interface Called<Result> {
  readonly result: Result
  readonly trouble: Trouble | undefined
}

const isProviders = (called: unknown): boolean => (called as Called<unknown>).trouble?.isProviders === true

/** Keeps calls from a provider that does not answer them, but for a trickle. */
export class Breaker {
  readonly #policy
  readonly #monotonicMs: () => number
  #reopensAtMs = Number.NEGATIVE_INFINITY
  #probes = 0

  constructor(monotonicMs: () => number, pauseMs: number, onChange: (state: BreakerState) => void) {
    this.#monotonicMs = monotonicMs
    this.#policy = circuitBreaker(handleWhenResult(isProviders), {
      // The pause is kept here, by a clock that nobody sets.
      halfOpenAfter: 0,
      breaker: new ConsecutiveBreaker(BREAKER_FAILURES),
    })
    this.#policy.onBreak(() => {
      this.#reopensAtMs = monotonicMs() + pauseMs
    })
    let told: BreakerState = 'closed'
    this.#policy.onStateChange(() => {
      const state = this.state()
      // One that is tried and fails was in trouble before.
      if (state === 'half_open' || state === told) return
      told = state
      onChange(state)
    })
  }

  state(): BreakerState {
    if (this.#policy.state === CircuitState.Closed) return 'closed'
    return this.#policy.state === CircuitState.HalfOpen ? 'half_open' : 'open'
  }

  /** How many of these calls may be made now. */
  lets(count: number): number {
    if (this.state() === 'closed') return count
    return this.state() === 'open' && this.#monotonicMs() >= this.#reopensAtMs ? Math.min(1, count) : 0
  }

  /** Undefined: the circuit is open, and it was not made. */
  async run<Result>(call: () => Promise<Called<Result>>): Promise<Called<Result> | undefined> {
    if (this.lets(1) === 0) return undefined
    const isProbe = this.state() === 'open'
    try {
      const called = await this.#policy.execute(call)
      if (isProbe) this.#tried(called.trouble)
      return called
    } catch (error) {
      if (isBrokenCircuitError(error)) return undefined
      throw error
    }
  }

  /** After a call of those that tell whether the provider is back: the next of them need not wait for a pause. */
  #tried(trouble: Trouble | undefined): void {
    this.#probes++
    const mayTryOn = trouble !== undefined && ANSWERED_BADLY.has(trouble.outcome) && this.#probes < BREAKER_PROBES
    if (mayTryOn) this.#reopensAtMs = Number.NEGATIVE_INFINITY
    else this.#probes = 0
  }
}
