import type { DatabaseSync } from 'node:sqlite'
import { DamagedPage } from './damage.ts'
import { isFatal } from './errors.ts'
import type { RepeatCounter } from './repeats.ts'
import { type Call, type SentBatch, UNSYNCED, type WriterOperations } from './thread-messages.ts'

/**
 * `FULL`: the commit is fsynced, and with it every earlier one. `NORMAL`: it is not. A power cut may then undo it and the
 * commits after it, but never a part of it, and never the commits before it. If only the process ends, no commit is undone.
 */
export type Durability = 'FULL' | 'NORMAL'

export const durabilityOf = (batches: readonly SentBatch[], calls: readonly Call<WriterOperations>[]): Durability =>
  batches.length > 0 || calls.some(({ name }) => !UNSYNCED.has(name)) ? 'FULL' : 'NORMAL'

/** What goes with every transaction of the writer thread. */
interface Companions {
  readonly begun: () => void
  readonly ending: () => void
  readonly committed: () => void
  readonly rolledBack: () => void
  readonly repeats: Pick<RepeatCounter, 'isWaiting' | 'write' | 'forget'>
  /** Has later transactions avoid a damaged page, or mends it. */
  readonly avoid: (found: DamagedPage) => void
}

/** The transactions of the connection that writes, one at a time. */
export class Transactions {
  readonly #db: DatabaseSync
  readonly #companions: Companions
  readonly #begin
  readonly #commit
  readonly #changes
  #durability: Durability = 'FULL'
  #isSynced = false

  constructor(db: DatabaseSync, companions: Companions) {
    this.#db = db
    this.#companions = companions
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#commit = db.prepare('COMMIT')
    this.#changes = db.prepare('SELECT total_changes() AS n')
  }

  /** Whether the last commit that wrote anything was fsynced, and with it all before. */
  isSynced = (): boolean => this.#isSynced

  /** All that `run` writes, or nothing: throws what failed. */
  run<Result>(durability: Durability, run: () => Result): Result {
    const { begun, ending, committed, rolledBack, repeats } = this.#companions
    try {
      this.#setDurability(durability)
      this.#begin.run()
      const before = this.#changed()
      begun()
      const result = run()
      ending()
      const isWriting = this.#changed() !== before
      if (isWriting) repeats.write()
      this.#commit.run()
      if (isWriting) {
        this.#isSynced = durability === 'FULL'
        repeats.forget()
      }
      committed()
      return result
    } catch (error) {
      repeats.forget()
      rolledBack()
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }

  /**
   * Writes the counts of events that were sent again, if the commit that found them had nothing else to write. That commit needed no
   * fsync, and this one has none: a power cut may undo the last counts.
   */
  countRepeats(): void {
    const { repeats, avoid } = this.#companions
    if (!repeats.isWaiting()) return
    try {
      this.run('NORMAL', () => {
        repeats.write()
        repeats.forget()
      })
    } catch (error) {
      if (isFatal(error)) throw error
      if (error instanceof DamagedPage) avoid(error)
    }
  }

  #changed = (): number => Number(this.#changes.get()?.n)

  /**
   * The pragma takes effect only between transactions. It is not a prepared statement, because SQLite runs a pragma when it is
   * prepared, and not again.
   */
  #setDurability(durability: Durability): void {
    if (durability === this.#durability) return
    this.#db.exec(`PRAGMA synchronous = ${durability}`)
    this.#durability = durability
  }
}
