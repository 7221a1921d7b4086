import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhenResult } from 'cockatiel'
import type { Clock } from '../domain/clock.ts'
import type { Asked } from './ask.ts'

/** Failures in a row after which a provider is left alone, and for how long; then one question tells whether it is back. */
export const BREAKER_FAILURES = 5
export const BREAKER_PAUSE_MS = 10_000

export type BreakerState = 'closed' | 'open' | 'half_open'

/** What says that the provider, not the one task, is in trouble. */
const isTrouble = (asked: unknown): boolean => !HEALTHY.has((asked as Asked).outcome)
const HEALTHY: ReadonlySet<Asked['outcome']> = new Set(['terminal', 'pending', 'not_found', 'rate_limited'])

/** Keeps questions from a provider that does not answer them, but for a trickle. */
export class Breaker {
  readonly #policy
  readonly #clock: Clock
  #reopensAtMs = 0

  constructor(clock: Clock, pauseMs: number, onChange: (state: BreakerState) => void) {
    this.#clock = clock
    this.#policy = circuitBreaker(handleWhenResult(isTrouble), {
      halfOpenAfter: pauseMs,
      breaker: new ConsecutiveBreaker(BREAKER_FAILURES),
    })
    this.#policy.onBreak(() => {
      this.#reopensAtMs = clock() + pauseMs
    })
    this.#policy.onStateChange(() => onChange(this.state()))
  }

  state(): BreakerState {
    if (this.#policy.state === CircuitState.Closed) return 'closed'
    return this.#policy.state === CircuitState.HalfOpen ? 'half_open' : 'open'
  }

  /** How many of these questions may be asked now. */
  lets(count: number): number {
    if (this.state() === 'closed') return count
    return this.state() === 'open' && this.#clock() >= this.#reopensAtMs ? Math.min(1, count) : 0
  }

  /** Undefined: it was not asked. */
  async run(question: () => Promise<Asked>): Promise<Asked | undefined> {
    try {
      return await this.#policy.execute(question)
    } catch {
      return undefined // The circuit is open; a question itself never rejects.
    }
  }
}
