import type { Task } from '../domain/task.ts'
import type { TaskStore } from '../domain/task-store.ts'

/** Look-ups that are open at once: when many tasks end together, others want to read too. */
const MAX_OPEN = 64

interface Queued {
  readonly source: string
  readonly id: string
  readonly promise: Promise<Task | undefined>
  readonly resolve: (task: Promise<Task | undefined>) => void
}

/**
 * Looks tasks up. Those who ask for the same one share a look-up that has not begun yet, never one that has: what each is
 * told is no older than his question.
 */
export class TaskReader {
  readonly #store: TaskStore
  readonly #queued = new Map<string, Queued>()
  #open = 0

  constructor(store: TaskStore) {
    this.#store = store
  }

  find(source: string, id: string): Promise<Task | undefined> {
    const key = `${source}\0${id}`
    const known = this.#queued.get(key)
    if (known !== undefined) return known.promise
    const { promise, resolve } = Promise.withResolvers<Task | undefined>()
    this.#queued.set(key, { source, id, promise, resolve })
    if (this.#queued.size === 1) setImmediate(() => this.#begin())
    return promise
  }

  #begin(): void {
    for (const [key, { source, id, resolve }] of this.#queued) {
      if (this.#open >= MAX_OPEN) return
      this.#queued.delete(key)
      this.#open++
      const found = this.#store.task(source, id)
      resolve(found)
      void found
        .catch(() => {})
        .finally(() => {
          this.#open--
          this.#begin()
        })
    }
  }
}
