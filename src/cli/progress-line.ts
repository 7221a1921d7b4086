const REWRITE_INTERVAL_MS = 100
const LINE_INTERVAL_MS = 3_000
/** Goes to the start of the line and clears it. */
const REWRITE = '\r\u001b[K'

interface Progress {
  readonly what: string
  readonly done: number
  readonly total: number
}

/** Shows the progress of long work: on a terminal in one line that is overwritten, elsewhere in a new line every few seconds. */
export class ProgressLine {
  readonly #err: NodeJS.WritableStream & { readonly isTTY?: boolean }
  readonly #format: (amount: number) => string
  #shownAtMs: number | undefined
  /** The beginning of the current work, from which its rate is computed. */
  #from = { what: '', done: 0, atMs: 0 }
  #isOpen = false

  constructor(err: NodeJS.WritableStream, format: (amount: number) => string = String) {
    this.#err = err
    this.#format = format
  }

  show({ what, done, total }: Progress): void {
    const nowMs = performance.now()
    if (this.#isDue(nowMs))
      this.#write(`${what}: ${this.#format(done)} of ${this.#format(total)}${this.#rate(what, done, nowMs)}`)
  }

  showText(text: string): void {
    if (this.#isDue(performance.now())) this.#write(text)
  }

  #isDue(nowMs: number): boolean {
    const isFirst = this.#shownAtMs === undefined
    // A terminal shows each step at once. A log file needs no line for a step that ends soon.
    const waitMs = this.#isTerminal ? (isFirst ? 0 : REWRITE_INTERVAL_MS) : LINE_INTERVAL_MS
    this.#shownAtMs ??= nowMs
    if (nowMs - this.#shownAtMs < waitMs) return false
    this.#shownAtMs = nowMs
    return true
  }

  #write(text: string): void {
    this.#err.write(this.#isTerminal ? `${REWRITE}${text}` : `${text}\n`)
    this.#isOpen = this.#isTerminal
  }

  get #isTerminal(): boolean {
    return this.#err.isTTY === true
  }

  #rate(what: string, done: number, nowMs: number): string {
    if (this.#from.what !== what) this.#from = { what, done, atMs: nowMs }
    const seconds = (nowMs - this.#from.atMs) / 1_000
    return seconds < 1 ? '' : `, ${this.#format(Math.round((done - this.#from.done) / seconds))} a second`
  }

  /** Clears the line, so that the next text starts a new one. */
  end(): void {
    if (this.#isOpen) this.#err.write(REWRITE)
    this.#isOpen = false
  }
}
