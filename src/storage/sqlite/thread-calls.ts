import { HoldfastError } from '../../domain/errors.ts'
import { errorOf, type Reply } from './errors.ts'
import { transferable } from './thread-event.ts'
import type { Call, ToWriter } from './thread-messages.ts'

/** How many calls to one thread may wait for its answer; a further call rejects with `unavailable` at once. */
const MAX_WAITING_CALLS = 4_096

interface WaitingCall {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

type ThreadOperations<Operations> = { readonly [Name in keyof Operations]: (...args: never) => unknown }

/** Calls to another thread, each answered once. */
export class ThreadCalls<Operations extends ThreadOperations<Operations>> {
  readonly #post: (call: {
    readonly id: number
    readonly name: keyof Operations
    readonly args: readonly unknown[]
  }) => void
  readonly #nextId: () => number
  readonly #maxWaiting: number
  readonly #fullReason: string
  readonly #waiting = new Map<number, WaitingCall>()

  constructor(
    post: (call: { readonly id: number; readonly name: keyof Operations; readonly args: readonly unknown[] }) => void,
    nextId: () => number,
    maxWaiting = MAX_WAITING_CALLS,
    fullReason = 'too many calls are waiting for the store',
  ) {
    this.#post = post
    this.#nextId = nextId
    this.#maxWaiting = maxWaiting
    this.#fullReason = fullReason
  }

  call<Name extends keyof Operations>(
    name: Name,
    ...args: Parameters<Operations[Name]>
  ): Promise<ReturnType<Operations[Name]>> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= this.#maxWaiting) {
        reject(new HoldfastError('unavailable', this.#fullReason))
        return
      }
      const id = this.#nextId()
      this.#waiting.set(id, { resolve, reject })
      this.#post({ id, name, args })
    })
  }

  /** False if no call waits for this reply. */
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

/** Carries out a call that came from another thread. */
export function runCall<Operations extends ThreadOperations<Operations>>(
  operations: Operations,
  { name, args }: Call<Operations>,
): unknown {
  const operation: (...args: never) => unknown = operations[name]
  return operation(...(args as never))
}

/**
 * How long a message may wait for another one to be sent with. Settlements wait: they need no fsync, and messages sent together
 * share one commit.
 */
const MAX_HELD_MS = 50
/** When this many messages wait, all are sent: as many as one commit takes calls. */
const MAX_HELD = 16

/** How long a message may wait for another one whose commit takes it along. */
const MAX_RIDING_MS = 5_000

/** Sends messages to the writer thread, in the order in which they are posted. */
export class WriterMailbox {
  readonly #send: (messages: readonly ToWriter[], buffers: readonly ArrayBuffer[]) => void
  #held: ToWriter[] = []
  #timer: NodeJS.Timeout | undefined
  #riding: ToWriter[] = []
  #ridingTimer: NodeJS.Timeout | undefined

  constructor(send: (messages: readonly ToWriter[], buffers: readonly ArrayBuffer[]) => void) {
    this.#send = send
  }

  /**
   * Sends all waiting messages, and then this one, at once. Throws if they cannot be sent; the messages that waited then still
   * wait.
   */
  post(message: ToWriter): void {
    this.#send([...this.#held, ...this.#riding, message], message.kind === 'append' ? transferable(message.batch) : [])
    this.#sent()
  }

  /** Sends the message with the next one, or after `MAX_HELD_MS`. */
  hold(message: ToWriter): void {
    this.#held.push(message)
    if (this.#held.length >= MAX_HELD) this.#flush()
    else this.#timer ??= setTimeout(() => this.#flush(), MAX_HELD_MS)
  }

  /** Sends the message with the next one that is sent, or after `MAX_RIDING_MS`. */
  ride(message: ToWriter): void {
    this.#riding.push(message)
    if (this.#riding.length >= MAX_HELD) this.#flush()
    else this.#ridingTimer ??= setTimeout(() => this.#flush(), MAX_RIDING_MS)
  }

  #flush(): void {
    this.#send([...this.#held, ...this.#riding], [])
    this.#sent()
  }

  #sent(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#held.length > 0) this.#held = []
    if (this.#riding.length === 0) return
    clearTimeout(this.#ridingTimer)
    this.#ridingTimer = undefined
    this.#riding = []
  }
}
