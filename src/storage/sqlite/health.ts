import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf } from '../../domain/errors.ts'
import type { Files, FilesFault } from './files.ts'

/** Kept free for deliveries, retention and checkpoints, which need room when there is no more for events. */
const MAX_RESERVE_BYTES = 32 * 1024 * 1024
const RESERVE_SHARE = 0.1
const SPACE_CHECK_INTERVAL_MS = 100
/** The share of the reserve that may be written between two looks, however soon. */
const UNSEEN_SHARE = 0.25

/** Whether events can be kept now, and if not, why. */
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

  /** How much may be written before it has to be reclaimed. */
  reserveBytes = (): number => this.#reserveBytes

  /**
   * Why `bytes` more would be refused without trying. Looks at the disk at most every `SPACE_CHECK_INTERVAL_MS`, unless much
   * is being written.
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

  /** Why what is written now would not be found again. */
  filesFault = (): FilesFault | undefined => this.#filesFault

  /** Looks whether the files are still those that were opened; `ifChanged`: only if something beside them has changed. */
  lookAtFiles(files: Files, when: 'always' | 'ifChanged'): FilesFault | undefined {
    const fault = when === 'always' ? files.fault() : files.faultSince()
    if (fault?.message !== this.#filesFault?.message)
      this.#change(() => {
        this.#filesFault = fault
      })
    return fault
  }

  /** Events were kept, whatever had failed before. */
  kept(): void {
    if (this.#writeFault === undefined && this.#damageFault === undefined) return
    this.#change(() => {
      this.#writeFault = undefined
      this.#damageFault = undefined
    })
  }

  /** No event can be kept. It stays so until one is. */
  damaged(reason: string): void {
    this.#change(() => {
      this.#damageFault = `${reason}: restore a backup, or recover what there is with \`sqlite3 … .recover\``
    })
  }

  /** Something could be written, though it was no event. */
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
      return `the disk is full: ${bavail * bsize} bytes are left where ${this.#reserveBytes} are kept in reserve`
    } catch (error) {
      return `the disk cannot be looked at: ${messageOf(error)}`
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
