import { messageOf } from '../../domain/errors.ts'
import { extendedCode, isCorruption, SQLITE_CORRUPT } from './errors.ts'

/** Steps that are remembered; past it, a call that meets another one fails. */
const MAX_AVOIDED = 100_000

/** What a step is about: a delivery's key, a handler's name, or nothing in particular. */
type Subject = number | string

/** A step met a damaged page. After that SQLite commits nothing more in the same transaction, so that it is to start anew. */
export class DamagedPage extends Error {
  readonly errcode: number
  readonly step: string
  readonly subject: Subject
  readonly mend: (() => void) | undefined

  constructor(step: string, subject: Subject, cause: unknown, mend?: () => void) {
    super(messageOf(cause), { cause })
    this.errcode = extendedCode(cause) ?? SQLITE_CORRUPT
    this.step = step
    this.subject = subject
    this.mend = mend
  }
}

/** Which steps lead over damaged pages. It is known while the process runs. */
export class Damage {
  readonly #avoided = new Map<string, string>()
  /** Steps that were avoided at any time: some lead over pages of tables, and are met again once indexes are made anew. */
  readonly #found = new Set<string>()
  readonly #onFound: (found: DamagedPage) => void
  readonly #rebuild: (met?: unknown) => boolean

  /** `onFound` hears once of each step that is avoided. `rebuild` makes damaged indexes anew, and tells whether there were any. */
  constructor(onFound: (found: DamagedPage) => void, rebuild: (met?: unknown) => boolean) {
    this.#onFound = onFound
    this.#rebuild = rebuild
  }

  /** A damaged page was met, and the transaction is rolled back. True: it was one of an index, which is whole again. `met`: the error. */
  mended(met?: unknown): boolean {
    if (!this.#rebuild(met)) return false
    this.#avoided.clear()
    return true
  }

  /** Runs a step; or, if it is known to lead over a damaged page, what is done instead. Throws `DamagedPage` to tell of one. */
  around<Result>(step: string, subject: Subject, run: () => Result, instead: (reason: string) => Result): Result {
    const reason = this.#avoided.size === 0 ? undefined : this.#avoided.get(`${step} ${subject}`)
    return reason === undefined ? watched(step, subject, run) : instead(reason)
  }

  /** The same for a step that can go on once it was mended: outside of a transaction. */
  orMend<Result>(step: string, subject: Subject, run: () => Result, mend: () => void): Result {
    return watched(step, subject, run, mend)
  }

  /** The transaction is rolled back: the next one does something else. False: too much is avoided already. */
  avoid(found: DamagedPage): boolean {
    if (this.#avoided.size >= MAX_AVOIDED) return false
    if (found.mend === undefined) return this.#leaveOut(found)
    found.mend()
    this.#onFound(found)
    return true
  }

  #leaveOut(found: DamagedPage): true {
    const step = `${found.step} ${found.subject}`
    const isNew = !this.#found.has(step)
    this.#avoided.set(step, found.message)
    if (this.#found.size < MAX_AVOIDED) this.#found.add(step)
    if (isNew) this.#onFound(found)
    return true
  }
}

function watched<Result>(step: string, subject: Subject, run: () => Result, mend?: () => void): Result {
  try {
    return run()
  } catch (error) {
    if (!isCorruption(error) || error instanceof DamagedPage) throw error
    throw new DamagedPage(step, subject, error, mend)
  }
}
