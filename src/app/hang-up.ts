import { isatty } from 'node:tty'

/**
 * SIGHUP asks for a reload, unless it says that the terminal is gone on which the service runs in the foreground: then it stops, as other
 * programs do. Signals that come before `handle` wait for it.
 */
export class HangUp {
  readonly #terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor))
  #waiting = 0
  #onSignal = (): void => void this.#waiting++

  constructor() {
    process.on('SIGHUP', () => this.#onSignal())
  }

  handle(handler: (isOfTerminal: boolean) => void): void {
    // A terminal that is gone is no terminal any more.
    this.#onSignal = () => handler(this.#terminals.some((descriptor) => !isatty(descriptor)))
    for (; this.#waiting > 0; this.#waiting--) this.#onSignal()
  }
}
