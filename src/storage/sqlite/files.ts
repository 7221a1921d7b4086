import { type BigIntStats, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf } from '../../domain/errors.ts'

/** What is wrong with the files; `log`: the database is where it was, and its log is not. */
export interface FilesFault {
  readonly kind: 'database' | 'log'
  readonly message: string
}

/** Two changes of a directory that lie no further apart may bear the same time: some file systems keep whole seconds, or every second one. */
const TIME_STEP_MS = 2_100

/**
 * The files of a database that is open, as they were when it was opened. SQLite goes on writing to files that were deleted,
 * renamed or replaced, and nothing of that is found again by the next process. A database that was cut, or written over with a
 * shorter one, is a ruin: it never gets shorter by itself.
 */
export class Files {
  readonly #path: string
  readonly #known: ReadonlyMap<string, string | undefined>
  readonly #directory: string
  /** Of the database, when it was last looked at. */
  #sizeBytes: bigint
  #isCut = false
  /** Their directory, as it was when they were last found to be the same. */
  #unchanged: Stats | undefined

  /** To be made once SQLite has made its log. */
  constructor(path: string) {
    this.#path = path
    this.#directory = dirname(path)
    this.#known = new Map(
      [path, `${path}-wal`, `${path}-shm`].map((file) => [file, identityOf(statsOf(file))] as const),
    )
    this.#sizeBytes = sizeOf(statsOf(path))
  }

  /** As `fault`, but looks at them only if something was made, moved or deleted beside them since: for each commit. */
  faultSince(): FilesFault | undefined {
    const now = statOf(this.#directory)
    if (now !== undefined && this.#unchanged !== undefined && isSame(now, this.#unchanged)) return undefined
    const fault = this.fault()
    const isSettled = now !== undefined && Date.now() - now.mtimeMs > TIME_STEP_MS
    this.#unchanged = fault === undefined && isSettled ? now : undefined
    return fault
  }

  /** Undefined: they are the same. */
  fault(): FilesFault | undefined {
    for (const [file, known] of this.#known) {
      const found = statsOf(file)
      const now = identityOf(found)
      if (now === known) {
        if (file === this.#path && this.#isCutTo(sizeOf(found))) return { kind: 'database', message: cut(file) }
        continue
      }
      const what = now === undefined ? 'was deleted or moved' : 'was replaced'
      return file === this.#path
        ? { kind: 'database', message: `the database file ${file} ${what} while it was in use: ${PUT_BACK}` }
        : { kind: 'log', message: `${file} ${what} while it was in use: what is written now would not be found again` }
    }
    return undefined
  }

  /** Once it was, it stays so: what it has lost does not come back with its length. */
  #isCutTo(sizeBytes: bigint): boolean {
    this.#isCut ||= sizeBytes < this.#sizeBytes
    this.#sizeBytes = sizeBytes
    return this.#isCut
  }
}

const cut = (file: string): string =>
  `the database file ${file} was cut, or written over, while it was in use: stop this process, then restore a backup`

const PUT_BACK =
  'put it back, and this goes on; if it is deleted, what was acknowledged is lost when this process ends (on Linux, copy it from ' +
  `/proc/${process.pid}/fd before that)`

function statOf(directory: string): Stats | undefined {
  try {
    return statSync(directory, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

const isSame = (one: Stats, other: Stats): boolean =>
  one.mtimeMs === other.mtimeMs && one.ctimeMs === other.ctimeMs && one.ino === other.ino && one.dev === other.dev

/** Undefined: there is no such file. A text: why it cannot be looked at. */
type Found = BigIntStats | string | undefined

function statsOf(file: string): Found {
  try {
    return statSync(file, { bigint: true, throwIfNoEntry: false })
  } catch (error) {
    return `not to be looked at: ${messageOf(error)}`
  }
}

const identityOf = (found: Found): string | undefined =>
  typeof found === 'object' ? `${found.dev}:${found.ino}` : found

const sizeOf = (found: Found): bigint => (typeof found === 'object' ? found.size : 0n)
