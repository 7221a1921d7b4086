import { statSync } from 'node:fs'
import { messageOf } from '../../domain/errors.ts'

/** What is wrong with the files; `log`: the database is where it was, and its log is not. */
export interface FilesFault {
  readonly kind: 'database' | 'log'
  readonly message: string
}

/**
 * The files of a database that is open, as they were when it was opened. SQLite goes on writing to files that were deleted,
 * renamed or replaced, and nothing of that is found again by the next process.
 */
export class Files {
  readonly #path: string
  readonly #known: ReadonlyMap<string, string | undefined>

  /** To be made once SQLite has made its log. */
  constructor(path: string) {
    this.#path = path
    this.#known = new Map([path, `${path}-wal`, `${path}-shm`].map((file) => [file, identityOf(file)] as const))
  }

  /** Undefined: they are the same. Costs a few microseconds. */
  fault(): FilesFault | undefined {
    for (const [file, known] of this.#known) {
      const now = identityOf(file)
      if (now === known) continue
      const what = now === undefined ? 'was deleted or moved' : 'was replaced'
      return file === this.#path
        ? { kind: 'database', message: `the database file ${file} ${what} while it was in use: ${PUT_BACK}` }
        : { kind: 'log', message: `${file} ${what} while it was in use: what is written now would not be found again` }
    }
    return undefined
  }
}

const PUT_BACK =
  'put it back, and this goes on; if it is deleted, what was acknowledged is lost when this process ends (on Linux, copy it from ' +
  `/proc/${process.pid}/fd before that)`

/** Undefined: there is none, or it cannot be looked at. */
function identityOf(file: string): string | undefined {
  try {
    const found = statSync(file, { bigint: true, throwIfNoEntry: false })
    return found && `${found.dev}:${found.ino}`
  } catch (error) {
    return `not to be looked at: ${messageOf(error)}`
  }
}
