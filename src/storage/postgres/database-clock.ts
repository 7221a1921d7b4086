import type { Clock } from '../../domain/clock.ts'

/** Two clocks that differ by less are taken for one. */
const MIN_DIFFERENCE_MS = 1_000

/**
 * Whose time counts. The database's, for all replicas: what is due, which lease holds, when a task expires, when an event was
 * received. Times that cross the port are this process's, and what is handed over are waits; so replicas whose clocks differ
 * agree. A test gives a clock in place of both.
 */
export class DatabaseClock {
  readonly #given: Clock | undefined
  readonly localMs: Clock
  /** What the database's clock said, less what a clock of this process that nobody sets said at that time. */
  #epochMs: number | undefined
  #aheadMs = 0

  /** `local` is this process's clock, where a test has it differ from the database's. */
  constructor(given: Clock | undefined, local: Clock | undefined) {
    this.#given = given
    this.localMs = given ?? local ?? Date.now
  }

  /** Null: the database's own. */
  givenMs = (): number | null => this.#given?.() ?? null

  /** The database has said its time in answer to what was asked at `askedAtMs` by `performance.now()`. */
  heard(databaseMs: number, askedAtMs: number): void {
    this.#epochMs = databaseMs - (askedAtMs + performance.now()) / 2
  }

  /**
   * How far the database's clock is ahead of this process's now, as it was last heard, also where this process's was set
   * since then; 0 where they agree to a second, or it was not heard yet.
   */
  aheadMs(): number {
    if (this.#given !== undefined || this.#epochMs === undefined) return 0
    const aheadMs = Math.round(this.#epochMs + performance.now() - this.localMs())
    // It stays as it is where it only trembles: the same for an event and for what is told of it.
    if (Math.abs(aheadMs) < MIN_DIFFERENCE_MS) this.#aheadMs = 0
    else if (Math.abs(aheadMs - this.#aheadMs) >= MIN_DIFFERENCE_MS) this.#aheadMs = aheadMs
    return this.#aheadMs
  }
}
