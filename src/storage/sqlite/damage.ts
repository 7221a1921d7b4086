import { messageOf } from '../../domain/errors.ts'
import { extendedCode, isCorruption, SQLITE_CORRUPT } from './errors.ts'

/** How many damaged steps are remembered; with more, a call that meets a further one fails. */
const MAX_AVOIDED = 100_000

/** The subject of a step: the key of a delivery, the name of a handler, or the empty string. */
type Subject = number | string

/** A step met a damaged page. SQLite then commits nothing more in the same transaction, which has to start again. */
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

/** Remembers the steps that read damaged pages, as far as this process has met them. */
export class Damage {
  readonly #avoided = new Map<string, string>()
  /**
   * All steps that were ever avoided, so that each is reported only once. Steps that read damaged pages of tables are met again
   * after indexes were rebuilt.
   */
  readonly #found = new Set<string>()
  readonly #onFound: (found: DamagedPage) => void
  readonly #rebuild: (met?: unknown) => boolean

  /**
   * `onFound` is called once for each step that is avoided. `rebuild` rebuilds damaged indexes, and returns whether there were
   * any.
   */
  constructor(onFound: (found: DamagedPage) => void, rebuild: (met?: unknown) => boolean) {
    this.#onFound = onFound
    this.#rebuild = rebuild
  }

  /**
   * To be called after a transaction met a damaged page and was rolled back. Returns true if the page belonged to an index,
   * which has now been rebuilt. `met`: the error.
   */
  mended(met?: unknown): boolean {
    if (!this.#rebuild(met)) return false
    this.#avoided.clear()
    return true
  }

  /**
   * Runs a step; or runs `instead`, if the step is known to read a damaged page. Throws `DamagedPage` if the step meets one.
   */
  around<Result>(step: string, subject: Subject, run: () => Result, instead: (reason: string) => Result): Result {
    const reason = this.#avoided.size === 0 ? undefined : this.#avoided.get(`${step} ${subject}`)
    return reason === undefined ? watched(step, subject, run) : instead(reason)
  }

  /**
   * Runs a step whose damage `mend` can repair, outside of a transaction. Throws `DamagedPage` if the step meets a damaged
   * page.
   */
  orMend<Result>(step: string, subject: Subject, run: () => Result, mend: () => void): Result {
    return watched(step, subject, run, mend)
  }

  /**
   * To be called after the transaction was rolled back: repairs the step, or has the next transaction avoid it. Returns false
   * if too many steps are avoided already.
   */
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
