import type { DamagedPage } from './damage.ts'

const REMEDY = 'restore a backup, or recover what there is with `sqlite3 … .recover`'

/** A page can hold hundreds of deliveries. */
const MAX_LOGGED = 1_000

/** What an operator is to know though events are kept. */
export class Warnings {
  readonly #tell: (warnings: readonly string[], news?: string) => void
  readonly #found: string[] = []
  #damaged = 0

  constructor(tell: (warnings: readonly string[], news?: string) => void) {
    this.#tell = tell
  }

  damaged({ step, subject, message }: DamagedPage): void {
    this.#damaged++
    const isLogged = this.#damaged <= MAX_LOGGED
    this.#tell(
      this.#all(),
      isLogged ? `${step} ${subject} lies on a damaged page of the database: ${message}` : undefined,
    )
  }

  found(warning: string): void {
    if (this.#found.includes(warning)) return
    this.#found.push(warning)
    this.#tell(this.#all(), warning)
  }

  #all(): readonly string[] {
    if (this.#damaged === 0) return [...this.#found]
    return [...this.#found, `the database is damaged: ${this.#damaged} things in it were left out; ${REMEDY}`]
  }
}
