import { within } from '../../domain/within.ts'

/** What was read a moment ago, for all who ask for the same: at most one reading of each key at a time, and `max` keys. */
export class Recent<Value> {
  readonly #keepMs: number
  readonly #max: number
  readonly #known = new Map<string, { readonly value: Promise<Value>; untilMs: number }>()

  constructor(keepMs: number, max: number) {
    this.#keepMs = keepMs
    this.#max = max
  }

  /** A reading that fails is not kept. */
  of(key: string, read: () => Promise<Value>): Promise<Value> {
    const known = this.#known.get(key)
    if (known !== undefined && performance.now() < known.untilMs) return known.value
    const mine = { value: read(), untilMs: Number.POSITIVE_INFINITY }
    this.#known.delete(key)
    this.#known.set(key, mine)
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= this.#max) break
      this.#known.delete(oldest)
    }
    mine.value.then(
      () => {
        mine.untilMs = performance.now() + this.#keepMs
      },
      () => {
        if (this.#known.get(key) === mine) this.#known.delete(key)
      },
    )
    return mine.value
  }
}

/** A page does not wait longer for what it can do without. */
const PAGE_MS = 2_000

/** The same within the time that a page waits. */
export const inTime = <Value>(promise: Promise<Value>): Promise<Value | undefined> => within(PAGE_MS, promise)
