import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhenResult, isBrokenCircuitError } from 'cockatiel'
import type { BreakerState } from '../domain/source.ts'
import type { CallError } from './provider-calls.ts'

/** Failures in a row that open the circuit, and how long it stays open; then one call probes whether the provider is back. */
export const BREAKER_FAILURES = 5
export const BREAKER_PAUSE_MS = 10_000

/**
 * Probes that follow each other at once while the provider answers them badly: it is there, and may fail at these tasks alone.
 * After a probe without an answer the whole pause begins again.
 */
export const BREAKER_PROBES = 5
const ANSWERED_BADLY: ReadonlySet<CallError['outcome']> = new Set(['server_error', 'invalid'])

/** What came of a call. Only an error that is provider-wide counts as a failure. */
interface BreakerCall<Result> {
  readonly result: Result
  readonly error: CallError | undefined
}

const isFailure = (call: unknown): boolean => (call as BreakerCall<unknown>).error?.isProviderWide === true

/** Keeps calls from a provider that does not answer them, but for single probes. */
export class CircuitBreaker {
  readonly #policy
  readonly #monotonicMs: () => number
  #reopensAtMs = Number.NEGATIVE_INFINITY
  #probes = 0

  constructor(monotonicMs: () => number, pauseMs: number, onChange: (state: BreakerState) => void) {
    this.#monotonicMs = monotonicMs
    this.#policy = circuitBreaker(handleWhenResult(isFailure), {
      // The pause is counted here, by the monotonic clock.
      halfOpenAfter: 0,
      breaker: new ConsecutiveBreaker(BREAKER_FAILURES),
    })
    this.#policy.onBreak(() => {
      this.#reopensAtMs = monotonicMs() + pauseMs
    })
    let reported: BreakerState = 'closed'
    this.#policy.onStateChange(() => {
      const state = this.state()
      // A probe that fails changes nothing for the listener: the circuit was open before.
      if (state === 'half_open' || state === reported) return
      reported = state
      onChange(state)
    })
  }

  state(): BreakerState {
    if (this.#policy.state === CircuitState.Closed) return 'closed'
    return this.#policy.state === CircuitState.HalfOpen ? 'half_open' : 'open'
  }

  /** How many of these calls may be made now. */
  allowed(count: number): number {
    if (this.state() === 'closed') return count
    return this.state() === 'open' && this.#monotonicMs() >= this.#reopensAtMs ? Math.min(1, count) : 0
  }

  /** Undefined: the circuit is open, and the call was not made. */
  async run<Result>(call: () => Promise<BreakerCall<Result>>): Promise<BreakerCall<Result> | undefined> {
    if (this.allowed(1) === 0) return undefined
    const isProbe = this.state() === 'open'
    try {
      const made = await this.#policy.execute(call)
      if (isProbe) this.#probed(made.error)
      return made
    } catch (error) {
      if (isBrokenCircuitError(error)) return undefined
      throw error
    }
  }

  /** After a probe: the next one need not wait for a pause where the provider has answered badly. */
  #probed(error: CallError | undefined): void {
    this.#probes++
    const mayProbeOn = error !== undefined && ANSWERED_BADLY.has(error.outcome) && this.#probes < BREAKER_PROBES
    if (mayProbeOn) this.#reopensAtMs = Number.NEGATIVE_INFINITY
    else this.#probes = 0
  }
}
