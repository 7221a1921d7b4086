import { randomUUID } from 'node:crypto'
import type { Clock } from '../../domain/clock.ts'

/** A delivery that was leased here and has not been settled. */
interface Held {
  readonly lease: string
  /** By `performance.now()`: when its lease has ended in any case. */
  readonly untilMs: number
  /** The same by the store's clock. */
  readonly endsAtMs: number
}

/** What a store knows of its leases, for `give_back_2`. */
export interface KnownLeases {
  /** The number of the latest one. */
  readonly last: number
  /** Those of which there is no answer yet. */
  readonly asked: readonly string[]
  /** Deliveries that somebody has been handed. */
  readonly held: readonly number[]
}

/**
 * The leases of one store. Each is named by its holder, which is new with each opening of the store, and a number: no other
 * one is ever called so, a delivery is leased at most once under it, and everybody can tell whose it is.
 */
export class Leases {
  readonly holder: string = randomUUID()
  readonly #asked = new Set<string>()
  readonly #held = new Map<number, Held>()
  readonly #clock: Clock
  #last = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  next = (): string => `${this.holder}:${++this.#last}`

  /** Runs what leases deliveries. `work` says which it was given (`hold`) before it resolves. */
  async asking<Result>(work: (lease: string) => Promise<Result>): Promise<Result> {
    const lease = this.next()
    this.#asked.add(lease)
    try {
      return await work(lease)
    } finally {
      this.#asked.delete(lease)
    }
  }

  hold(deliveryId: number, lease: string, leaseMs: number): void {
    const untilMs = performance.now() + leaseMs
    this.#held.set(deliveryId, { lease, untilMs, endsAtMs: this.#clock() + leaseMs })
  }

  /** When the next one of those that are held ends, after now. */
  nextEndMs(): number | undefined {
    const nowMs = this.#clock()
    let nextMs = Number.POSITIVE_INFINITY
    for (const { endsAtMs } of this.#held.values()) if (endsAtMs > nowMs && endsAtMs < nextMs) nextMs = endsAtMs
    return nextMs === Number.POSITIVE_INFINITY ? undefined : nextMs
  }

  /** The store has answered for it, whatever it said. */
  settled(deliveryId: number, lease: string): void {
    if (this.#held.get(deliveryId)?.lease === lease) this.#held.delete(deliveryId)
  }

  known(): KnownLeases {
    const nowMs = performance.now()
    for (const [id, { untilMs }] of this.#held) if (untilMs < nowMs) this.#held.delete(id)
    return { last: this.#last, asked: [...this.#asked], held: [...this.#held.keys()] }
  }
}
