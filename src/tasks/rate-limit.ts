/** A token bucket: so many in each second, and as many at once after a pause. */
export class RateLimit {
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

  /** How many may be had now. */
  available(): number {
    this.#fill()
    return Math.max(0, Math.floor(this.#tokens))
  }

  /** Until the next may be had. */
  waitMs(): number {
    this.#fill()
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) * 1_000) / this.#perSecond)
  }

  /** Takes one, which may be had after so many milliseconds: whoever comes later waits longer. */
  reserve(): number {
    const waitMs = this.waitMs()
    this.#tokens--
    return waitMs
  }

  /** Takes some that were had already: whoever comes next waits for them. */
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
