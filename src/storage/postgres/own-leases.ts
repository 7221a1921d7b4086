import { randomUUID } from 'node:crypto'
import type { Clock } from '../../domain/clock.ts'

/** A delivery that this store has leased and not settled. */
interface HeldLease {
  readonly lease: string
  /** By `performance.now()`: when its lease has surely expired. */
  readonly untilMs: number
  /** The same by the store's clock. */
  readonly endsAtMs: number
}

/** The leases that a store knows, for `give_back_2`, which releases all others in its name. */
interface KnownLeases {
  /** Number of the latest lease. */
  readonly last: number
  /** Leases that a running statement may take. */
  readonly asked: readonly string[]
  /** Deliveries that were handed out. */
  readonly held: readonly number[]
}

/**
 * The leases of one store. A lease's name is its holder's, which is new each time the store is opened, and a number: no two
 * leases have the same name, a delivery is leased at most once under it, and every replica can tell whose lease it is.
 */
export class Leases {
  readonly holder: string = randomUUID()
  readonly #asked = new Set<string>()
  readonly #held = new Map<number, HeldLease>()
  readonly #clock: Clock
  #last = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  next = (): string => `${this.holder}:${++this.#last}`

  /** Runs a statement that leases deliveries. `work` calls `hold` for those that it was given before it resolves. */
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

  /** When the next of the held leases expires, after now. */
  nextEndMs(): number | undefined {
    const nowMs = this.#clock()
    let nextMs = Number.POSITIVE_INFINITY
    for (const { endsAtMs } of this.#held.values()) if (endsAtMs > nowMs && endsAtMs < nextMs) nextMs = endsAtMs
    return nextMs === Number.POSITIVE_INFINITY ? undefined : nextMs
  }

  /** The database has answered the settlement, whether or not it took effect. */
  settled(deliveryId: number, lease: string): void {
    if (this.#held.get(deliveryId)?.lease === lease) this.#held.delete(deliveryId)
  }

  known(): KnownLeases {
    const nowMs = performance.now()
    for (const [id, { untilMs }] of this.#held) if (untilMs < nowMs) this.#held.delete(id)
    return { last: this.#last, asked: [...this.#asked], held: [...this.#held.keys()] }
  }
}
