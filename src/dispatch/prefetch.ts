import type { Work } from '../domain/delivery.ts'
import type { ConcurrencyLimits } from './concurrency-limits.ts'

/** A handler has as many deliveries leased ahead as it ends in this time at its present speed. */
const AHEAD_MS = 25
/** How many deliveries of one handler may be leased ahead, and about how many bytes their bodies may have together, beside one claim. */
const MAX_AHEAD = 512
const MAX_AHEAD_BYTES = 8 * 1024 * 1024
/** The speed of a handler is measured over at least this time. */
const MIN_MEASURED_MS = 5
/** Of the longest body, this part counts after one more attempt, so that one long body does not count for ever. */
const BODY_MEMORY = 0.99
/** A delivery that has waited this long is released: its handler has become slow, and another replica may be free. */
const MAX_WAIT_MS = 1_000

interface Handler {
  /** In the order of their claims. */
  readonly waiting: { readonly work: Work; readonly sinceMs: number }[]
  /** Attempts that have ended since `measuredAtMs`. */
  ended: number
  measuredAtMs: number
  endedPerMs: number
  maxBodyBytes: number
}

interface PrefetchOptions {
  readonly limits: Pick<ConcurrencyLimits, 'mayStart' | 'running'>
  /** Whether deliveries of the handler may be leased ahead. */
  readonly mayWait: (handler: string) => boolean
  /** Gets the deliveries that have waited too long. They are no longer kept here. */
  readonly onLate: (late: readonly Work[]) => void
}

type Limits = ReturnType<ConcurrencyLimits['limits']>

/**
 * Deliveries that are leased before there is capacity for them, so that a quick handler does not wait for a claim between two
 * attempts. Of a slow handler there are none: what it cannot start soon stays in the store, where other replicas find it.
 */
export class Prefetch {
  readonly #handlers: ReadonlyMap<string, Handler>
  readonly #options: PrefetchOptions
  #size = 0
  #timer: NodeJS.Timeout | undefined

  constructor(handlers: readonly string[], options: PrefetchOptions) {
    const measuredAtMs = performance.now()
    this.#options = options
    this.#handlers = new Map(
      handlers.map((name) => [name, { waiting: [], ended: 0, measuredAtMs, endedPerMs: 0, maxBodyBytes: 0 }]),
    )
  }

  has = (handler: string): boolean => this.#size > 0 && this.#count(handler) > 0

  /** What a claim should lease: what may start now, and what is to be leased ahead. */
  claimLimits({ handlers, total }: Limits): Limits {
    const startable = new Map(handlers.map(({ name, limit }) => [name, limit]))
    const all = [...this.#handlers].map(([name, handler]) => {
      const ahead = this.#options.mayWait(name) ? wanted(handler) : 0
      const running = this.#options.limits.running(name) + handler.waiting.length
      return { name, ahead, limit: (startable.get(name) ?? 0) + ahead, running }
    })
    return {
      handlers: all.flatMap(({ name, limit, running }) => (limit > 0 ? [{ name, limit, running }] : [])),
      total: all.reduce((sum, { ahead }) => sum + ahead, total),
    }
  }

  /** Keeps a claimed delivery if it cannot start now. False: it can, or it must not wait. */
  keeps(work: Work): boolean {
    const { limits, mayWait } = this.#options
    const { handler, isolated, body } = work
    const state = this.#handlers.get(handler)
    if (state === undefined || isolated || !mayWait(handler)) return false
    if (state.waiting.length === 0 && limits.mayStart(handler)) return false
    state.waiting.push({ work, sinceMs: performance.now() })
    state.maxBodyBytes = Math.max(body.length, state.maxBodyBytes)
    this.#size++
    if (this.#timer === undefined) this.#startTimer()
    return true
  }

  /** Removes and returns the next delivery that can start. It is of the handler of which the fewest attempts run. */
  next(): Work | undefined {
    if (this.#size === 0) return undefined
    const { limits } = this.#options
    let next: string | undefined
    for (const [name, { waiting }] of this.#handlers)
      if (
        waiting.length > 0 &&
        (next === undefined || limits.running(name) < limits.running(next)) &&
        limits.mayStart(name)
      )
        next = name
    const taken = next === undefined ? undefined : this.#handlers.get(next)?.waiting.shift()
    if (taken !== undefined && --this.#size === 0) this.#stopTimer()
    return taken?.work
  }

  /** Removes and returns all deliveries that have waited since this time or longer. */
  takeAll(sinceMs = Number.POSITIVE_INFINITY): readonly Work[] {
    const all = [...this.#handlers.values()].flatMap(({ waiting }) => {
      const at = waiting.findIndex((each) => each.sinceMs > sinceMs)
      return waiting.splice(0, at < 0 ? waiting.length : at)
    })
    this.#size -= all.length
    if (this.#size === 0) this.#stopTimer()
    return all.map(({ work }) => work)
  }

  /** Removes and returns the deliveries that match. */
  takeThose(matches: (work: Work) => boolean): readonly Work[] {
    const taken: Work[] = []
    for (const { waiting } of this.#handlers.values())
      for (let at = waiting.length - 1; at >= 0; at--) {
        const work = waiting[at]?.work
        if (work === undefined || !matches(work)) continue
        waiting.splice(at, 1)
        taken.push(work)
      }
    this.#size -= taken.length
    if (this.#size === 0) this.#stopTimer()
    return taken
  }

  /** Says that an attempt has ended, from which the speed of its handler follows. */
  ended({ handler, body }: Work): void {
    const state = this.#handlers.get(handler)
    if (state === undefined) return
    state.ended++
    state.maxBodyBytes = Math.max(body.length, state.maxBodyBytes * BODY_MEMORY)
  }

  #count = (name: string): number => this.#handlers.get(name)?.waiting.length ?? 0

  #removeLate(): void {
    const late = this.takeAll(performance.now() - MAX_WAIT_MS)
    this.#stopTimer()
    if (this.#size > 0) this.#startTimer()
    if (late.length > 0) this.#options.onLate(late)
  }

  #startTimer(): void {
    this.#timer = setTimeout(() => this.#removeLate(), MAX_WAIT_MS)
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

/** How many more deliveries of the handler should be leased: none while half of what it needs is there. */
function wanted(handler: Handler): number {
  const measuredMs = performance.now() - handler.measuredAtMs
  if (measuredMs >= MIN_MEASURED_MS) {
    const weight = Math.min(1, measuredMs / AHEAD_MS)
    handler.endedPerMs += weight * (handler.ended / measuredMs - handler.endedPerMs)
    handler.ended = 0
    handler.measuredAtMs += measuredMs
  }
  const most = Math.min(MAX_AHEAD, MAX_AHEAD_BYTES / Math.max(1, handler.maxBodyBytes))
  const ahead = Math.floor(Math.min(most, handler.endedPerMs * AHEAD_MS))
  const { length } = handler.waiting
  return length * 2 > ahead ? 0 : ahead - length
}
