import type { Work } from '../domain/delivery.ts'
import type { ClaimRequest } from '../domain/delivery-queue.ts'

/**
 * Of which handlers the store may hold due deliveries that are not claimed. Only a look tells that there are none; and only a
 * handler without any may start a new event at once, before what has waited longer.
 */
export class Backlog {
  readonly #handlers: Set<string>
  readonly #all: readonly string[]

  constructor(handlers: readonly string[]) {
    this.#all = handlers
    this.#handlers = new Set(handlers)
  }

  has = (handler: string): boolean => this.#handlers.has(handler)

  get isEmpty(): boolean {
    return this.#handlers.size === 0
  }

  /** Deliveries of these may have become due; of any, if not given. */
  add(handlers: readonly string[] = this.#all): void {
    for (const handler of handlers) this.#handlers.add(handler)
  }

  /** A claim gave less than it asked for: there was no more. */
  claimed({ handlers, sharedLimit, isolatedLimit }: ClaimRequest, work: readonly Work[]): void {
    if (work.length >= sharedLimit || work.filter(({ isolated }) => isolated).length >= isolatedLimit) return
    for (const { name, limit } of handlers)
      if (work.filter(({ handler }) => handler === name).length < limit) this.#handlers.delete(name)
  }
}
