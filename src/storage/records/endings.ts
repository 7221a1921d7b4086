import { messageOf } from '../../domain/errors.ts'
import type { StoreLog } from '../../domain/store.ts'
import type { EndedTask } from '../../domain/task.ts'

/** What an operation gives, and the end of a task that it brought. */
interface Ending<Value> {
  readonly value: Value
  readonly ended?: EndedTask | undefined
}

/** Tells those who listen of the ends of tasks. */
export class Endings {
  readonly #listeners: ((ended: EndedTask) => void)[] = []
  readonly #log: StoreLog

  constructor(log: StoreLog) {
    this.#log = log
  }

  listen(listener: (ended: EndedTask) => void): void {
    this.#listeners.push(listener)
  }

  tell = (ended: EndedTask): void => {
    for (const listener of this.#listeners) {
      try {
        listener(ended)
      } catch (error) {
        this.#log('error', `what listens for the ends of tasks failed: ${messageOf(error)}`)
      }
    }
  }

  /** The operation's value, after its end of a task, if it brought one, was told. */
  told<Value>({ value, ended }: Ending<Value>): Value {
    if (ended !== undefined) this.tell(ended)
    return value
  }

  telling<Args extends readonly unknown[], Value>(
    operation: (...args: Args) => Promise<Ending<Value>>,
  ): (...args: Args) => Promise<Value> {
    return async (...args) => this.told(await operation(...args))
  }
}
