import type { Value } from './connections.ts'
import { toText } from './text.ts'

/** So often a claim looks at everything. */
const FULL_INTERVAL_MS = 15_000
/** What becomes pending is due no earlier than so long ago: it was received, or ran, just now. What is older waits for a full look. */
const SLACK_MS = 20_000
/** Handlers beside those that are claimed for; more are left to the full look. */
const MAX_OTHERS = 256

export interface Seen {
  /** Of a full look: nothing is pending that was due before, and nothing leased that ran out before. */
  readonly due_from: number | null
  readonly lease_from: number | null
  /** Of a full look: handlers of which something is pending. */
  readonly waiting: readonly string[] | null
}

/**
 * From where on a claim has to look. What was done is still in the index as long as anybody's snapshot of the database might
 * see it as it was: without this, one long reader would have every claim step over all that was done since.
 */
export class Horizon {
  #fullAt = Number.NEGATIVE_INFINITY
  #dueFrom: number | null = null
  #leaseFrom: number | null = null
  #others = new Set<string>()

  /** The parameters of a claim. */
  values(): readonly [Value, Value, Value] {
    const nowMs = performance.now()
    const isFull = nowMs - this.#fullAt > FULL_INTERVAL_MS
    // Where it takes too long, claims go on in between as before.
    if (isFull) this.#fullAt = nowMs
    return isFull ? [null, null, []] : [this.#dueFrom, this.#leaseFrom, [...this.#others]]
  }

  saw({ due_from, lease_from, waiting }: Seen): void {
    if (due_from === null) return
    this.#dueFrom = due_from - SLACK_MS
    this.#leaseFrom = lease_from
    this.#others = new Set((waiting ?? []).slice(0, MAX_OTHERS).map(toText))
  }

  /** The next claim looks at everything. */
  forget(): void {
    this.#fullAt = Number.NEGATIVE_INFINITY
  }

  /** Deliveries of these handlers were made by this process. */
  made(handlers: readonly string[]): void {
    for (const handler of handlers) if (this.#others.size < MAX_OTHERS) this.#others.add(toText(handler))
  }
}
