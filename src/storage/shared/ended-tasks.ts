import { messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { EndedTask } from '../../domain/task.ts'

/** The value of an operation, and the task that the operation ended, if any. */
export interface WithEndedTask<Value> {
  readonly value: Value
  readonly ended?: EndedTask | undefined
}

/** The listeners to the ends of tasks, each called after the commit. */
export class EndedTaskListeners {
  readonly #listeners: ((ended: EndedTask) => void)[] = []
  readonly #log: StoreLog

  constructor(log: StoreLog) {
    this.#log = log
  }

  add = (listener: (ended: EndedTask) => void): void => {
    this.#listeners.push(listener)
  }

  notify = (ended: EndedTask): void => {
    for (const listener of this.#listeners) {
      try {
        listener(ended)
      } catch (error) {
        this.#log('error', `a listener for ended tasks failed: ${messageOf(error)}`)
      }
    }
  }

  /** Notifies of the task that an operation has ended, if any, and returns the operation's value. */
  notifyOf<Value>({ value, ended }: WithEndedTask<Value>): Value {
    if (ended !== undefined) this.notify(ended)
    return value
  }

  /** Returns an operation that calls `notifyOf` with the result of the given one. */
  notifying<Args extends readonly unknown[], Value>(
    operation: (...args: Args) => Promise<WithEndedTask<Value>>,
  ): (...args: Args) => Promise<Value> {
    return async (...args) => this.notifyOf(await operation(...args))
  }
}
