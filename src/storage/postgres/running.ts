import { HoldfastError } from '../../domain/errors.ts'

type Operation<Args extends readonly unknown[], Result> = (...args: Args) => Promise<Result>

/** What a store is doing, and whether it does anything more. */
export class Running {
  readonly #underWay = new Set<Promise<void>>()
  #ended: string | undefined

  /** Why it does nothing any more. */
  ended = (): string | undefined => this.#ended

  /** The operation, refused as `unavailable` once all has ended. */
  while<Args extends readonly unknown[], Result>(operation: Operation<Args, Result>): Operation<Args, Result> {
    return (...args) => {
      if (this.#ended !== undefined) return Promise.reject(new HoldfastError('unavailable', this.#ended))
      return this.follow(operation(...args))
    }
  }

  /** It is waited for at the end. */
  follow<Result>(running: Promise<Result>): Promise<Result> {
    const done = this.#until(running)
    this.#underWay.add(done)
    void done.finally(() => this.#underWay.delete(done))
    return running
  }

  async #until(running: Promise<unknown>): Promise<void> {
    try {
      await running
    } catch {
      // Whoever began it is told.
    }
  }

  /** Refuses what comes from now on, and resolves when what had begun is over. */
  async end(reason: string): Promise<void> {
    this.#ended = reason
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }
}
