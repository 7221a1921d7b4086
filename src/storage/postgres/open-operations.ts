import { HoldfastError } from '../../domain/errors.ts'

export type Operation<Args extends readonly unknown[], Result> = (...args: Args) => Promise<Result>

/** The store's running operations, which its close waits for. */
export class Operations {
  readonly #running = new Set<Promise<void>>()
  #ended: string | undefined

  /** Why no operation begins any more; undefined while the store is open. */
  ended = (): string | undefined => this.#ended

  /** The operation, refused as `unavailable` after the end. */
  while<Args extends readonly unknown[], Result>(operation: Operation<Args, Result>): Operation<Args, Result> {
    return (...args) => {
      if (this.#ended !== undefined) return Promise.reject(new HoldfastError('unavailable', this.#ended))
      return this.follow(operation(...args))
    }
  }

  /** `end` waits for it. */
  follow<Result>(running: Promise<Result>): Promise<Result> {
    const done = running.then(
      () => {},
      () => {},
    )
    this.#running.add(done)
    void done.finally(() => this.#running.delete(done))
    return running
  }

  /** Refuses new operations, and resolves when the running ones are over. */
  async end(reason: string): Promise<void> {
    this.#ended = reason
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}
