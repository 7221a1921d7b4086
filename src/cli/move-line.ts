import type { MoveProgress } from '../domain/move.ts'

const REWRITE_INTERVAL_MS = 100
const LINE_INTERVAL_MS = 3_000
/** To the start of the line, and nothing left of what stood there. */
const REWRITE = '\r\u001b[K'

/** Shows how far a move is: on a terminal in one line that is written over, elsewhere in a line every few seconds. */
export class MoveLine {
  readonly #err: NodeJS.WritableStream & { readonly isTTY?: boolean }
  #shownAtMs: number | undefined
  #toldWhere = false
  /** Where what is under way began. */
  #from = { what: '', done: 0, atMs: 0 }
  #isOpen = false

  constructor(err: NodeJS.WritableStream) {
    this.#err = err
  }

  show({ step, table, done, total, resumed }: MoveProgress): void {
    const isTerminal = this.#err.isTTY === true
    const nowMs = performance.now()
    const isFirst = this.#shownAtMs === undefined
    if (resumed && (done < total || step === 'verifying'))
      this.#tellWhere(`${step} ${table} after ${done} of ${total} rows`)
    // What has begun is seen at once on a terminal; what is over in no time needs no line elsewhere.
    const waitMs = isTerminal ? (isFirst ? 0 : REWRITE_INTERVAL_MS) : LINE_INTERVAL_MS
    this.#shownAtMs ??= nowMs
    if (nowMs - this.#shownAtMs < waitMs) return
    this.#shownAtMs = nowMs
    const text = `${step} ${table}: ${done} of ${total}${this.#rate(`${step} ${table}`, done, nowMs)}`
    this.#err.write(isTerminal ? `${REWRITE}${text}` : `${text}\n`)
    this.#isOpen = isTerminal
  }

  #rate(what: string, done: number, nowMs: number): string {
    if (this.#from.what !== what) this.#from = { what, done, atMs: nowMs }
    const seconds = (nowMs - this.#from.atMs) / 1_000
    return seconds < 1 ? '' : `, ${Math.round((done - this.#from.done) / seconds)} a second`
  }

  #tellWhere(where: string): void {
    if (!this.#toldWhere) this.#err.write(`goes on ${where}\n`)
    this.#toldWhere = true
  }

  /** What is written next has a line of its own. */
  end(): void {
    if (this.#isOpen) this.#err.write(REWRITE)
    this.#isOpen = false
  }
}
