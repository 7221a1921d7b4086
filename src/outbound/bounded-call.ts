import { CallFault } from './call-fault.ts'

/** What stops a call. */
export interface Stop {
  readonly signal: AbortSignal
  readonly time: CallTimer
}

/**
 * Settles when the work settles, when its time is over, or when the caller's signal aborts; in the last two cases also stops the
 * work. undici obeys a signal only once it has a connection, so this function does not wait for the work after that.
 */
export async function bounded<Result>(
  work: (stop: Stop) => Promise<Result>,
  totalMs: number,
  signal: AbortSignal | undefined,
): Promise<Result> {
  const stop = new AbortController()
  const stopped = Promise.withResolvers<never>()
  const end = (fault: CallFault): void => {
    stopped.reject(fault)
    stop.abort(fault)
  }
  const time = new CallTimer(totalMs, end)
  const giveUp = (): void => end(new CallFault('broken', 'The call was given up.'))
  signal?.addEventListener('abort', giveUp, { once: true })
  try {
    return await Promise.race([stopped.promise, work({ signal: stop.signal, time })])
  } finally {
    time.stop()
    signal?.removeEventListener('abort', giveUp)
  }
}

/** A call whose answer keeps arriving may take this many times the usual time. */
const MAX_STRETCH = 4

/**
 * Ends a call that takes too long. Each part of the answer gives the call more time, up to `MAX_STRETCH`. The time does not run
 * while the answer waits for memory.
 */
class CallTimer {
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

  /** Called when a part of the answer has arrived. */
  progress(): void {
    this.stop()
    this.#run()
  }

  /** Stops the time until the next progress. Idempotent. */
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
