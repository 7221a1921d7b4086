import { HoldfastError } from '../../domain/errors.ts'

export type Operation<Args extends readonly unknown[], Result> = (...args: Args) => Promise<Result>

/** The running operations of the store. Closing the store waits for them. */
export class Operations {
  readonly #running = new Set<Promise<void>>()
  #ended: string | undefined

  /** Why the store refuses new operations; undefined while it is open. */
  ended = (): string | undefined => this.#ended

  /** Returns the operation so that it rejects with `unavailable` after the end. */
  while<Args extends readonly unknown[], Result>(operation: Operation<Args, Result>): Operation<Args, Result> {
    return (...args) => {
      if (this.#ended !== undefined) return Promise.reject(new HoldfastError('unavailable', this.#ended))
      return this.follow(operation(...args))
    }
  }

  /** As `while`, for all operations of a port. */
  ofPort<Port extends { readonly [Name in keyof Port]: Operation<never, unknown> }>(port: Port): Port {
    const operations = Object.entries<Operation<never, unknown>>(port)
    return Object.fromEntries(operations.map(([name, operation]) => [name, this.while(operation)])) as Port
  }

  /** Makes `end` wait for this promise. */
  follow<Result>(running: Promise<Result>): Promise<Result> {
    const done = running.then(
      () => {},
      () => {},
    )
    this.#running.add(done)
    void done.finally(() => this.#running.delete(done))
    return running
  }

  /** Refuses new operations from now on. Resolves when the running ones have ended. */
  async end(reason: string): Promise<void> {
    this.#ended = reason
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}
