import { CallFault } from './call-fault.ts'

interface Waiting {
  readonly bytes: number
  readonly enter: () => void
}

/**
 * Room in memory for answers that are read and kept, of all sources together. Who finds none waits for his turn, in order of
 * asking, and holds nothing meanwhile that another waits for.
 */
export class AnswerRoom {
  readonly #capacityBytes: number
  readonly #waiting: Waiting[] = []
  #takenBytes = 0

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes
  }

  takenBytes = (): number => this.#takenBytes

  /** Resolves with what gives the room back, once. More than there is at all counts as all. Rejects when the signal aborts. */
  async take(wantedBytes: number, signal: AbortSignal): Promise<() => void> {
    const bytes = Math.min(wantedBytes, this.#capacityBytes)
    if (this.#waiting.length > 0 || this.#takenBytes + bytes > this.#capacityBytes) await this.#turn(bytes, signal)
    else this.#takenBytes += bytes
    let isTaken = true
    return () => {
      if (!isTaken) return
      isTaken = false
      this.#takenBytes -= bytes
      this.#admit()
    }
  }

  /** The room is taken when it resolves. */
  async #turn(bytes: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting: Waiting = { bytes, enter: resolve }
    const giveUp = (): void => {
      const at = this.#waiting.indexOf(waiting)
      if (at < 0) return
      this.#waiting.splice(at, 1)
      reject(new CallFault('broken', 'The answer found no room beside those of other tasks.'))
      this.#admit()
    }
    this.#waiting.push(waiting)
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  #admit(): void {
    for (let [next] = this.#waiting; next !== undefined; [next] = this.#waiting) {
      if (this.#takenBytes + next.bytes > this.#capacityBytes) return
      this.#waiting.shift()
      this.#takenBytes += next.bytes
      next.enter()
    }
  }
}
