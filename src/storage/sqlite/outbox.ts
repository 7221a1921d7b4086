import type { ToWriter } from './messages.ts'
import { transferable } from './wire-event.ts'

/**
 * How long a message may wait for another to go with. Settlements do: they owe nobody an fsync, and what goes in one message
 * shares one commit.
 */
export const MAX_HELD_MS = 50
/** Messages that wait; with more, all go. As many calls as one commit takes. */
const MAX_HELD = 16

/** Messages to the writer, in the order in which they were given. */
export class Outbox {
  readonly #send: (messages: readonly ToWriter[], buffers: readonly ArrayBuffer[]) => void
  #held: ToWriter[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(send: (messages: readonly ToWriter[], buffers: readonly ArrayBuffer[]) => void) {
    this.#send = send
  }

  /** Goes at once, and all that waits before it. Throws if it cannot be handed over; what waits goes on waiting then. */
  post(message: ToWriter): void {
    this.#send([...this.#held, message], message.kind === 'append' ? transferable(message.batch) : [])
    this.#sent()
  }

  /** Goes with the next message, or after `MAX_HELD_MS`. */
  hold(message: ToWriter): void {
    this.#held.push(message)
    if (this.#held.length >= MAX_HELD) this.#flush()
    else this.#timer ??= setTimeout(() => this.#flush(), MAX_HELD_MS)
  }

  #flush(): void {
    this.#send(this.#held, [])
    this.#sent()
  }

  #sent(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#held.length > 0) this.#held = []
  }
}
