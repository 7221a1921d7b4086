/**
 * How many deliveries of a replay job are outstanding at a time: due, running, or waiting for their turn. Events that arrive meanwhile
 * wait behind no more than these, and find capacity free.
 */

/** A handler has as many outstanding as it ends in this time at its present speed. */
const AHEAD_MS = 250
/** Of a handler that is too slow for that, this part of its capacity; the rest is left for other events. */
const SLOW_SHARE = 0.5
/** The most that are outstanding, of one handler and of all. */
const MAX_AHEAD = 256
const MAX_TOTAL_AHEAD = 512
/** Over about this time the speed of a handler is measured. */
const MEASURED_MS = 500

/** How many attempts may run at once: of all handlers, and of one, if it has a limit of its own. */
export interface Capacity {
  readonly total: number
  readonly of: (handler: string) => number | undefined
}

interface Handlers {
  readonly handlers: readonly string[]
}

interface Speed {
  outstanding: number
  endedPerMs: number
}

export class Pacing {
  readonly #capacity: Capacity
  readonly #handlers = new Map<string, Speed>()
  #lookedAtMs: number | undefined

  constructor(capacity: Capacity) {
    this.#capacity = capacity
  }

  /** To be called regularly with what is outstanding by handler. */
  look(outstanding: ReadonlyMap<string, number>, nowMs: number): void {
    const passedMs = Math.max(1, nowMs - (this.#lookedAtMs ?? nowMs))
    this.#lookedAtMs = nowMs
    const weight = 1 - Math.exp(-passedMs / MEASURED_MS)
    for (const handler of outstanding.keys()) this.#of(handler)
    for (const [handler, speed] of this.#handlers) {
      const now = outstanding.get(handler) ?? 0
      const endedPerMs = Math.max(0, speed.outstanding - now) / passedMs
      speed.endedPerMs += weight * (endedPerMs - speed.endedPerMs)
      speed.outstanding = now
    }
  }

  /** Whether an event may be replayed now for these handlers. */
  fits(handlers: readonly string[]): boolean {
    const { total, endedPerMs } = this.#sum()
    const totalLimit = limit(this.#capacity.total, endedPerMs, MAX_TOTAL_AHEAD)
    // An event with more handlers than that goes alone.
    if (total > 0 && total + handlers.length > totalLimit) return false
    return handlers.every((handler) => {
      const { outstanding, endedPerMs: speed } = this.#of(handler)
      const most = Math.min(this.#capacity.of(handler) ?? Number.POSITIVE_INFINITY, this.#capacity.total)
      return outstanding < limit(most, speed, MAX_AHEAD)
    })
  }

  added(handlers: readonly string[]): void {
    for (const handler of handlers) this.#of(handler).outstanding++
  }

  /** Corrects what was added before a batch ran by what it did. */
  ran(planned: readonly Handlers[], results: readonly Handlers[]): void {
    for (const handler of planned.flatMap(({ handlers }) => handlers)) this.#of(handler).outstanding--
    this.added(results.flatMap(({ handlers }) => handlers))
  }

  #of(handler: string): Speed {
    const known = this.#handlers.get(handler)
    if (known !== undefined) return known
    const speed = { outstanding: 0, endedPerMs: 0 }
    this.#handlers.set(handler, speed)
    return speed
  }

  #sum(): { readonly total: number; readonly endedPerMs: number } {
    let [total, endedPerMs] = [0, 0]
    for (const speed of this.#handlers.values()) {
      total += speed.outstanding
      endedPerMs += speed.endedPerMs
    }
    return { total, endedPerMs }
  }
}

const limit = (capacity: number, endedPerMs: number, max: number): number =>
  Math.min(max, Math.max(1, Math.floor(capacity * SLOW_SHARE), Math.floor(endedPerMs * AHEAD_MS)))

/** Lets at most `perSecond` events through in a second; all at once if it is undefined. */
export class Rate {
  readonly #perSecond: number | undefined
  #tokens = 1
  #lookedAtMs: number | undefined

  constructor(perSecond: number | undefined) {
    this.#perSecond = perSecond
  }

  /** How many may go now. */
  free(nowMs: number): number {
    if (this.#perSecond === undefined) return Number.POSITIVE_INFINITY
    const passedMs = Math.max(0, nowMs - (this.#lookedAtMs ?? nowMs))
    this.#lookedAtMs = nowMs
    this.#tokens = Math.min(Math.max(1, this.#perSecond / 10), this.#tokens + (passedMs * this.#perSecond) / 1_000)
    return Math.floor(this.#tokens)
  }

  take(n: number): void {
    if (this.#perSecond !== undefined) this.#tokens -= n
  }
}
