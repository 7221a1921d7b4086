import type { Progress } from '../progress.ts'
import type { InFlight, Run } from './run.ts'

/** The attempts that one process has been sent and has not answered, in the order in which it begins them. */
export class Jobs {
  readonly #progress: Progress
  readonly #inFlight = new Map<number, InFlight>()
  #nextKey = 0
  /** The process has answered a question since it began this one: what it does at once has not blocked it. */
  #passedKey = -1

  constructor(progress: Progress) {
    this.#progress = progress
  }

  get size(): number {
    return this.#inFlight.size
  }

  get first(): InFlight | undefined {
    const [first] = this.#inFlight.values()
    return first
  }

  /** Gives its key. */
  add(inFlight: InFlight): number {
    const key = this.#nextKey++
    this.#inFlight.set(key, inFlight)
    return key
  }

  take(key: number): InFlight | undefined {
    const inFlight = this.#inFlight.get(key)
    this.#inFlight.delete(key)
    return inFlight
  }

  /** The key of the one that it began last. */
  lastKey = (): number => this.#progress.started()

  passed(key: number): void {
    this.#passedKey = key
  }

  /** Whether an attempt of this handler is among them. */
  has = (handler: string): boolean => this.#inFlight.values().some(({ run }) => run.work.handler === handler)

  /**
   * The one that most likely blocks or has ended the process: which began last. None, where the process has answered since, or
   * where the key is of none that was sent: then that cannot be told.
   */
  suspect(): InFlight | undefined {
    const last = this.lastKey()
    const isTelling = last > this.#passedKey && last < this.#nextKey
    return isTelling ? [...this.#inFlight].findLast(([key]) => key <= last)?.[1] : undefined
  }

  /** Takes back those that have not begun; the process will not begin them any more. */
  revoke(): readonly Run[] {
    const last = this.#progress.revoke()
    return this.#takeAfter(last)
  }

  /** The process may begin what it is sent from now on. */
  restore(): void {
    this.#progress.restore(this.#nextKey)
  }

  /** The process is gone. Gives all, apart by whether they had begun. */
  close(): { readonly begun: readonly InFlight[]; readonly notBegun: readonly Run[]; suspect: InFlight | undefined } {
    const suspect = this.suspect()
    const notBegun = this.#takeAfter(this.lastKey())
    const begun = [...this.#inFlight.values()]
    this.#inFlight.clear()
    this.#progress.close()
    return { begun, notBegun, suspect }
  }

  #takeAfter(last: number): readonly Run[] {
    const taken = [...this.#inFlight].filter(([key]) => key > last)
    for (const [key] of taken) this.#inFlight.delete(key)
    return taken.map(([, { run }]) => run)
  }
}
