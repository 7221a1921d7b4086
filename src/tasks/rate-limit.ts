import type { Clock } from '../domain/clock.ts'

/** A token bucket: so many in each second, and as many at once after a pause. */
export class RateLimit {
  readonly #perSecond: number
  readonly #clock: Clock
  #tokens: number
  #filledAtMs: number

  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond
    this.#clock = clock
    this.#tokens = this.#capacity()
    this.#filledAtMs = clock()
  }

  /** How many may be taken now. */
  available(): number {
    const nowMs = this.#clock()
    const gained = (Math.max(0, nowMs - this.#filledAtMs) * this.#perSecond) / 1_000
    this.#tokens = Math.min(this.#capacity(), this.#tokens + gained)
    this.#filledAtMs = nowMs
    return Math.floor(this.#tokens)
  }

  take(count: number): void {
    this.available()
    this.#tokens -= count
  }

  /** Until one may be taken. */
  waitMs = (): number => (this.available() >= 1 ? 0 : Math.ceil(((1 - this.#tokens) * 1_000) / this.#perSecond))

  #capacity = (): number => Math.max(1, this.#perSecond)
}
