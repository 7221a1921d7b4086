import type { ServerResponse } from 'node:http'

/** How long a client may leave written bytes unread before the stream is cut. */
const STALL_MS = 10_000
/** How long the last message may take to be read. */
const LAST_MS = 1_000

/** A response of server-sent events (the WHATWG's HTML, 9.2). It never has more than one write unread: the writer waits. */
export class EventStream {
  readonly #answer: ServerResponse
  readonly #gone: AbortSignal
  readonly #stallMs: number

  constructor(answer: ServerResponse, gone: AbortSignal, stallMs = STALL_MS) {
    this.#answer = answer
    this.#gone = gone
    this.#stallMs = stallMs
  }

  begin(headers: Readonly<Record<string, unknown>>): void {
    this.#answer.writeHead(200, {
      ...(headers as Record<string, string>),
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      // A proxy that collects the answer before it passes it on would hold events back.
      'x-accel-buffering': 'no',
    })
    this.#answer.flushHeaders()
  }

  /** Resolves once the client can take more; false: it does not read what was written, or is gone. */
  async write(text: string): Promise<boolean> {
    if (this.#gone.aborted) return false
    if (this.#answer.write(text)) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const drained = (): void => resolve(true)
    const failed = (): void => resolve(false)
    const timer = setTimeout(failed, this.#stallMs)
    this.#answer.once('drain', drained)
    this.#gone.addEventListener('abort', failed, { once: true })
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#answer.off('drain', drained)
      this.#gone.removeEventListener('abort', failed)
    }
  }

  /** Ends the stream with a last message, and closes the connection if the client does not read it. */
  end(text = ''): void {
    if (this.#answer.destroyed) return
    const timer = setTimeout(() => this.#answer.destroy(), LAST_MS)
    this.#answer.once('close', () => clearTimeout(timer))
    this.#answer.end(text)
  }
}
