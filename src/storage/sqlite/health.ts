import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf } from '../../domain/errors.ts'
import type { DamagedPage } from './damage.ts'
import type { DatabaseFiles, FilesFault } from './database-directory.ts'

/**
 * Disk space that is kept free for deliveries, retention and checkpoints, which need room when there is none left for events.
 */
const MAX_RESERVE_BYTES = 32 * 1024 * 1024
const RESERVE_SHARE = 0.1
const SPACE_CHECK_INTERVAL_MS = 100
/** The share of the reserve that may be written between two checks of the disk, even within `SPACE_CHECK_INTERVAL_MS`. */
const UNSEEN_SHARE = 0.25

/** Whether events can be stored now, and if not, why. */
export class Health {
  readonly #directory: string
  readonly #report: (faults: readonly string[]) => void
  #checkedAtMs = Number.NEGATIVE_INFINITY
  #reserveBytes = MAX_RESERVE_BYTES
  #unseenBytes = 0
  #spaceFault: string | undefined
  #writeFault: string | undefined
  #damageFault: string | undefined
  #filesFault: FilesFault | undefined

  constructor(path: string, report: (faults: readonly string[]) => void) {
    this.#directory = dirname(path)
    this.#report = report
  }

  /** How much may be written before a checkpoint has to reclaim the log. */
  reserveBytes = (): number => this.#reserveBytes

  /**
   * Why the store refuses to write `bytes` more; undefined if the disk has room. Checks the disk at most every
   * `SPACE_CHECK_INTERVAL_MS`, unless much is being written.
   */
  shortOfSpace(bytes = 0): string | undefined {
    const now = performance.now()
    this.#unseenBytes += bytes
    const isFresh = now - this.#checkedAtMs < SPACE_CHECK_INTERVAL_MS
    if (isFresh && this.#unseenBytes < this.#reserveBytes * UNSEEN_SHARE) return this.#spaceFault
    this.#checkedAtMs = now
    this.#unseenBytes = 0
    this.#change(() => {
      this.#spaceFault = this.#lookAtSpace()
    })
    return this.#spaceFault
  }

  isWell = (): boolean => this.#faults().length === 0

  hasWriteFault = (): boolean => this.#writeFault !== undefined

  /** Why the next process would not find what is written now. */
  filesFault = (): FilesFault | undefined => this.#filesFault

  /** Checks that the files are still those that were opened; `ifChanged`: only if their directory has changed. */
  lookAtFiles(files: DatabaseFiles, when: 'always' | 'ifChanged'): FilesFault | undefined {
    const fault = when === 'always' ? files.fault() : files.faultSince()
    if (fault?.message !== this.#filesFault?.message)
      this.#change(() => {
        this.#filesFault = fault
      })
    return fault
  }

  /** Says that events were stored: earlier failures to write are over. */
  kept(): void {
    if (this.#writeFault === undefined && this.#damageFault === undefined) return
    this.#change(() => {
      this.#writeFault = undefined
      this.#damageFault = undefined
    })
  }

  /** Says that no event can be stored, until the next one is. */
  damaged(reason: string): void {
    this.#change(() => {
      this.#damageFault = `${reason}: restore a backup, or recover what there is with \`sqlite3 … .recover\``
    })
  }

  /** Says that a write that stored no event succeeded. */
  wrote(): void {
    if (this.#writeFault === undefined) return
    this.#change(() => {
      this.#writeFault = undefined
    })
  }

  failedToWrite(error: unknown): void {
    this.#change(() => {
      this.#writeFault = `the database cannot be written: ${messageOf(error)}`
    })
  }

  #lookAtSpace(): string | undefined {
    try {
      const { bavail, blocks, bsize } = statfsSync(this.#directory)
      this.#reserveBytes = Math.min(MAX_RESERVE_BYTES, Math.floor(blocks * bsize * RESERVE_SHARE))
      if (bavail * bsize >= this.#reserveBytes) return undefined
      return `the disk is full: ${mib(bavail * bsize)} are left where ${mib(this.#reserveBytes)} are kept in reserve`
    } catch (error) {
      return `the disk cannot be checked: ${messageOf(error)}`
    }
  }

  #change(apply: () => void): void {
    const before = this.#faults()
    apply()
    const after = this.#faults()
    if (before.length !== after.length) this.#report(after)
  }

  #faults = (): readonly string[] =>
    [this.#filesFault?.message, this.#spaceFault, this.#writeFault, this.#damageFault].filter(
      (fault) => fault !== undefined,
    )
}

const mib = (bytes: number): string => `${(bytes / (1024 * 1024)).toFixed(1)} MiB`

const REMEDY = 'restore a backup, or recover what there is with `sqlite3 … .recover`'

/** How many damaged steps are logged: one page can hold hundreds of deliveries. */
const MAX_LOGGED = 1_000

/** Warnings for the operator about faults that do not keep the store from storing events. */
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
    return [...this.#found, `the database is damaged: ${this.#damaged} parts of it were left out; ${REMEDY}`]
  }
}
