import { HoldfastError } from '../domain/errors.ts'
import { MAX_WAITERS } from '../domain/limits.ts'
import type { TaskEnds, TaskName } from '../domain/task-ends.ts'

/**
 * Those who wait for tasks to end. One costs an entry here and a timer: nobody looks into the store for it meanwhile. Ends
 * that others bring to a shared store are watched for while anybody waits.
 */
export class Waiters {
  readonly #byTask = new Map<string, Set<() => void>>()
  readonly #max: number
  readonly #watchEnds: TaskEnds['watchEnds']
  #stopWatching = (): void => {}
  #count = 0
  #closed = false

  constructor(watchEnds: TaskEnds['watchEnds'], max = MAX_WAITERS) {
    this.#watchEnds = watchEnds
    this.#max = max
  }

  /**
   * Resolves when the task ends, the time is over, the signal is aborted, or the service stops; whoever asked then looks
   * for himself. It listens from the call on. Throws `unavailable` when too many do.
   */
  wait(source: string, id: string, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#closed || signal.aborted) return Promise.resolve()
    if (this.#count >= this.#max) throw new HoldfastError('unavailable', 'too many wait for tasks to end')
    const { promise, resolve } = Promise.withResolvers<void>()
    const key = keyOf(source, id)
    const waiting = this.#byTask.get(key) ?? new Set()
    this.#byTask.set(key, waiting.add(resolve))
    if (this.#count++ === 0) this.#stopWatching = this.#watchEnds((name) => this.ended(name))
    const timer = setTimeout(resolve, ms)
    const abort = (): void => resolve()
    signal.addEventListener('abort', abort, { once: true })
    return promise.finally(() => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      if (--this.#count === 0) this.#stopWatching()
      waiting.delete(resolve)
      if (waiting.size === 0 && this.#byTask.get(key) === waiting) this.#byTask.delete(key)
    })
  }

  /** By either of its names. */
  ended({ source, id, uid }: TaskName): void {
    for (const name of [uid, id]) {
      if (name === null) continue
      for (const resolve of this.#byTask.get(keyOf(source, name)) ?? []) resolve()
    }
  }

  /** Everyone looks now, and nobody waits any more. */
  close(): void {
    this.#closed = true
    for (const waiting of this.#byTask.values()) for (const resolve of waiting) resolve()
  }
}

const keyOf = (source: string, id: string): string => `${source}\0${id}`
