import { randomUUID } from 'node:crypto'
import type { Clock } from '../../domain/clock.ts'

/** A delivery that this store has leased and not settled. */
interface HeldLease {
  readonly lease: string
  /** When its lease has certainly expired, by `performance.now()`. */
  readonly untilMs: number
  /** When its lease expires, by the clock of the store. */
  readonly endsAtMs: number
}

/** The leases that a store knows. `give_back_2` releases all other leases in the name of the store. */
interface KnownLeases {
  /** The number of the latest lease. */
  readonly last: number
  /** The leases under which a running statement may lease deliveries. */
  readonly asked: readonly string[]
  /** The deliveries that the store has leased and not settled. */
  readonly held: readonly number[]
}

/**
 * The leases of one store. The name of a lease consists of the name of its holder, which is new each time the store is opened,
 * and a number: no two leases have the same name, a delivery is leased at most once under it, and every replica can tell which
 * store holds it.
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

  /** Runs a statement that leases deliveries. Before `work` resolves, it calls `hold` for the deliveries that it has leased. */
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

  /** When the next of the held leases expires; undefined if none expires after now. */
  nextEndMs(): number | undefined {
    const nowMs = this.#clock()
    let nextMs = Number.POSITIVE_INFINITY
    for (const { endsAtMs } of this.#held.values()) if (endsAtMs > nowMs && endsAtMs < nextMs) nextMs = endsAtMs
    return nextMs === Number.POSITIVE_INFINITY ? undefined : nextMs
  }

  /** Says that the database has answered the settlement, whether or not it took effect. */
  settled(deliveryId: number, lease: string): void {
    if (this.#held.get(deliveryId)?.lease === lease) this.#held.delete(deliveryId)
  }

  known(): KnownLeases {
    const nowMs = performance.now()
    for (const [id, { untilMs }] of this.#held) if (untilMs < nowMs) this.#held.delete(id)
    return { last: this.#last, asked: [...this.#asked], held: [...this.#held.keys()] }
  }
}
