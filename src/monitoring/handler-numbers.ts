import { Histogram } from './histogram.ts'

/** Handlers of one source that are counted one by one. */
const MAX_HANDLERS = 100

/** What was counted of one handler. */
export class HandlerNumbers {
  handled = 0
  failed = 0
  /** The duration of attempts. */
  readonly times = new Histogram()
  /** From the time at which a delivery was due to its start. */
  readonly queue = new Histogram()

  addWritten([handled, failed, times, queue = []]: WrittenHandler): void {
    this.handled += handled
    this.failed += failed
    this.times.addWritten(times)
    this.queue.addWritten(queue)
  }

  toJSON(): WrittenHandler {
    return [this.handled, this.failed, this.times.toJSON(), this.queue.toJSON()]
  }
}

type WrittenHandler = readonly [handled: number, failed: number, times: readonly number[], queue?: readonly number[]]

/** What was counted of each handler of one source in one hour. */
export class HandlersOfHour {
  readonly #byName = new Map<string, HandlerNumbers>()

  get size(): number {
    return this.#byName.size
  }

  /** The numbers of a handler; undefined if there are too many handlers. */
  of(handler: string): HandlerNumbers | undefined {
    const known = this.#byName.get(handler)
    if (known !== undefined || this.#byName.size >= MAX_HANDLERS) return known
    const numbers = new HandlerNumbers()
    this.#byName.set(handler, numbers)
    return numbers
  }

  toText(): string {
    return JSON.stringify(Object.fromEntries(this.#byName))
  }
}

/** What `HandlersOfHour.toText` has written, by name. Of a text that is damaged: nothing. */
export function writtenHandlers(text: string): readonly (readonly [string, WrittenHandler])[] {
  try {
    return Object.entries(JSON.parse(text) as Readonly<Record<string, WrittenHandler>>)
  } catch {
    return []
  }
}
