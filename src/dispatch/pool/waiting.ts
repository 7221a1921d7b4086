import type { Run } from './run.ts'

/** Attempts that wait for room, in order. */
export class Waiting {
  #runs: readonly Run[] = []

  get size(): number {
    return this.#runs.length
  }

  add(run: Run): void {
    this.#runs = [...this.#runs, run]
  }

  /** Those that have waited before go first. */
  addFirst(runs: readonly Run[]): void {
    if (runs.length > 0) this.#runs = [...runs, ...this.#runs]
  }

  /** The number of attempts of each handler, in no order; handlers without any are left out. */
  countByHandler(matches: (run: Run) => boolean): readonly number[] {
    const byHandler = Map.groupBy(this.#runs.filter(matches), ({ work }) => work.handler)
    return [...byHandler.values()].map(({ length }) => length)
  }

  count = (matches: (run: Run) => boolean): number => this.#runs.filter(matches).length

  /** Takes out those that it accepts, first come first. */
  take(accepts: (run: Run) => boolean): readonly Run[] {
    if (this.#runs.length === 0) return []
    const taken = new Set(this.#runs.filter(accepts))
    this.#runs = this.#runs.filter((run) => !taken.has(run))
    return [...taken]
  }
}
