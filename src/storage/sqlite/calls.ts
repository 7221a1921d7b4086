import { HoldfastError } from '../../domain/errors.ts'
import { errorOf, type Reply } from './thread-error.ts'

/** Calls waiting for an answer of one thread; past it they are `unavailable` at once. */
const MAX_WAITING_CALLS = 4_096

interface Waiting {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

type Functions<Operations> = { [Name in keyof Operations]: (...args: never) => unknown }

/** Calls into another thread, each answered once. */
export class Calls<Operations extends Functions<Operations>> {
  readonly #post: (call: {
    readonly id: number
    readonly name: keyof Operations
    readonly args: readonly unknown[]
  }) => void
  readonly #nextId: () => number
  readonly #waiting = new Map<number, Waiting>()

  constructor(
    post: (call: { readonly id: number; readonly name: keyof Operations; readonly args: readonly unknown[] }) => void,
    nextId: () => number,
  ) {
    this.#post = post
    this.#nextId = nextId
  }

  call<Name extends keyof Operations>(
    name: Name,
    ...args: Parameters<Operations[Name]>
  ): Promise<ReturnType<Operations[Name]>> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= MAX_WAITING_CALLS) {
        reject(new HoldfastError('unavailable', 'too many calls are waiting for the store'))
        return
      }
      const id = this.#nextId()
      this.#waiting.set(id, { resolve, reject })
      this.#post({ id, name, args })
    })
  }

  /** False if nobody here waits for it. */
  answer(reply: Reply): boolean {
    const waiting = this.#waiting.get(reply.id)
    if (waiting === undefined) return false
    this.#waiting.delete(reply.id)
    if ('failed' in reply) waiting.reject(errorOf(reply.failed))
    else waiting.resolve(reply.value as never)
    return true
  }

  failAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}
