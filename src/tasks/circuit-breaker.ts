import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhenResult, isBrokenCircuitError } from 'cockatiel'
import type { BreakerState } from '../domain/source.ts'
import type { CallError } from './provider-calls.ts'

/** Failures in a row that open the circuit, and how long it stays open; then one call probes whether the provider is back. */
export const BREAKER_FAILURES = 5
export const BREAKER_PAUSE_MS = 10_000

/**
 * The most probes that follow each other without a pause while the provider answers them with errors: the provider is reachable, and
 * may fail only for these tasks. After a probe without an answer the whole pause begins again.
 */
export const BREAKER_PROBES = 5
const ANSWERED_WITH_ERROR: ReadonlySet<CallError['outcome']> = new Set(['server_error', 'invalid'])

/** The result of a call. Only an error that is provider-wide counts as a failure. */
interface BreakerCall<Result> {
  readonly result: Result
  readonly error: CallError | undefined
}

const isFailure = (call: unknown): boolean => (call as BreakerCall<unknown>).error?.isProviderWide === true

/** Makes no calls to a provider that does not answer them, except single probes. */
export class CircuitBreaker {
  readonly #policy
  readonly #monotonicMs: () => number
  #reopensAtMs = Number.NEGATIVE_INFINITY
  #probes = 0
  #lastError: CallError | undefined

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

  /** How the last call failed, and in how long one may be tried; undefined: the circuit is closed. */
  failing(): { readonly cause: string; readonly retryInMs: number } | undefined {
    if (this.state() === 'closed') return undefined
    const retryInMs = Math.max(0, this.#reopensAtMs - this.#monotonicMs())
    return { cause: this.#lastError?.error ?? 'it does not answer', retryInMs }
  }

  /** How many of `count` calls may be made now. */
  allowed(count: number): number {
    if (this.state() === 'closed') return count
    return this.state() === 'open' && this.#monotonicMs() >= this.#reopensAtMs ? Math.min(1, count) : 0
  }

  /** Undefined: the circuit is open, and the call was not made. */
  async run<Result>(call: () => Promise<BreakerCall<Result>>): Promise<BreakerCall<Result> | undefined> {
    if (this.allowed(1) === 0) return undefined
    const isProbe = this.state() === 'open'
    try {
      const made = await this.#policy.execute(async () => {
        const answered = await call()
        this.#lastError = answered.error ?? this.#lastError
        return answered
      })
      if (isProbe) this.#probed(made.error)
      return made
    } catch (error) {
      if (isBrokenCircuitError(error)) return undefined
      throw error
    }
  }

  /** Called after a probe. If the provider has answered it with an error, the next probe need not wait for the pause. */
  #probed(error: CallError | undefined): void {
    this.#probes++
    const mayProbeAgain = error !== undefined && ANSWERED_WITH_ERROR.has(error.outcome) && this.#probes < BREAKER_PROBES
    if (mayProbeAgain) this.#reopensAtMs = Number.NEGATIVE_INFINITY
    else this.#probes = 0
  }
}
