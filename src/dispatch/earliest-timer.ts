import { MAX_TIMER_MS } from '../domain/limits.ts'

/**
 * A timer that only an earlier time replaces: what is due and has not fired yet, because the thread was held up, is never put off.
 * `onDue` may set it again.
 */
export class EarliestTimer {
  readonly #onDue: () => void
  #timer: NodeJS.Timeout | undefined
  #dueAtMs = Number.POSITIVE_INFINITY

  constructor(onDue: () => void) {
    this.#onDue = onDue
  }

  /** Fires after `inMs`, if not sooner; never, if that is `Infinity`. */
  within(inMs: number): void {
    const dueAtMs = performance.now() + inMs
    if (dueAtMs >= this.#dueAtMs) return
    clearTimeout(this.#timer)
    this.#dueAtMs = dueAtMs
    this.#timer = setTimeout(() => this.#fire(), Math.min(Math.ceil(inMs), MAX_TIMER_MS))
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#dueAtMs = Number.POSITIVE_INFINITY
  }

  #fire(): void {
    this.#dueAtMs = Number.POSITIVE_INFINITY
    this.#onDue()
  }
}
