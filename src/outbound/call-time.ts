import { CallFault } from './call-fault.ts'

/** A call whose answer keeps coming may take so many times as long as one whose answer does not. */
const MAX_STRETCH = 4

/**
 * The time that a call may take. It ends the call unless something comes of it; an answer that keeps coming has more, and
 * waiting for one's turn costs none.
 */
export class CallTime {
  readonly #totalMs: number
  readonly #end: (fault: CallFault) => void
  #leftMs: number
  #startedAtMs: number
  #timer: NodeJS.Timeout | undefined

  constructor(totalMs: number, end: (fault: CallFault) => void) {
    this.#totalMs = totalMs
    this.#end = end
    this.#leftMs = totalMs * MAX_STRETCH
    this.#startedAtMs = performance.now()
    this.#run()
  }

  /** A part of the answer has come. */
  progress(): void {
    this.stop()
    this.#run()
  }

  /** Nothing is counted until the next progress. Idempotent. */
  stop(): void {
    if (this.#timer === undefined) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#leftMs = Math.max(0, this.#leftMs - (performance.now() - this.#startedAtMs))
  }

  #run(): void {
    const ms = Math.min(this.#totalMs, this.#leftMs)
    this.#startedAtMs = performance.now()
    this.#timer = setTimeout(() => {
      const tookMs = Math.round(this.#totalMs * MAX_STRETCH - this.#leftMs + ms)
      this.#end(new CallFault('timeout', `No whole answer came within ${tookMs} ms.`))
    }, ms)
  }
}
