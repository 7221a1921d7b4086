import { HoldfastError } from '../domain/errors.ts'
import { MAX_WAITERS } from '../domain/limits.ts'
import type { TaskEnds, TaskName } from '../domain/task-ends.ts'

/**
 * Callers that wait for tasks to end. Each costs an entry and a timer, but no queries while it waits. While any caller waits, the store
 * is also watched for tasks that other processes end.
 */
export class TaskWaiters {
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
   * Resolves when the task ends, the time is over, the signal is aborted, or the service stops; the caller then looks the task up. Misses
   * no end after the call. Throws `unavailable` if too many callers wait.
   */
  wait(source: string, id: string, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#closed || signal.aborted) return Promise.resolve()
    if (this.#count >= this.#max) throw new HoldfastError('unavailable', 'too many callers wait for tasks to end')
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

  /** Ends all waits for this task, whether the callers named it by its uid or by the provider's id. */
  ended({ source, id, uid }: TaskName): void {
    for (const name of [uid, id]) {
      if (name === null) continue
      for (const resolve of this.#byTask.get(keyOf(source, name)) ?? []) resolve()
    }
  }

  /** Ends all waits. Later waits end at once. */
  close(): void {
    this.#closed = true
    for (const waiting of this.#byTask.values()) for (const resolve of waiting) resolve()
  }
}

const keyOf = (source: string, id: string): string => `${source}\0${id}`
