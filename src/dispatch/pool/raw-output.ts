import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { within } from '../within.ts'

/** Bytes that are read at once, and how long the next ones wait: a program that writes more waits in its own write. */
const READ_BYTES = 16_384
const PAUSE_MS = 100
/** Lines told of one read; the others are counted. */
const MAX_LINES = 20
const MAX_LINE_LENGTH = 2_000
/** What was written last, in which a crash tells its reason. */
const KEPT_LENGTH = 8_192
/** So begins what the runtime prints of its own end: it is kept for the attempt, and is no line of the log. */
const CRASH = /^(?:----- Native stack trace|<--- Last few GCs|# Fatal|#\s*$|FATAL ERROR)/
/** For what is on its way when the process has ended. What it started may hold the stream open for as long as it likes. */
const MAX_DRAIN_MS = 50
const MAX_DRAIN_READS = 8

/**
 * What a handler process writes to its output past `console`: read slowly enough that no flood of it takes time from
 * acknowledgements.
 */
export class RawOutput {
  readonly #stream: Readable
  readonly #onLines: (lines: readonly string[], dropped: number) => void
  #kept = ''
  #isCrash = false
  #pause: NodeJS.Timeout | undefined
  #readsLeft = Number.POSITIVE_INFINITY

  constructor(stream: Readable, onLines: (lines: readonly string[], dropped: number) => void) {
    this.#stream = stream
    this.#onLines = onLines
    stream.on('readable', () => this.#read())
    stream.on('error', () => {})
  }

  kept = (): string => this.#kept

  /** Its process has ended: what is there yet is read, and no more than that. */
  async drain(): Promise<void> {
    const end = untilEnd(this.#stream)
    clearTimeout(this.#pause)
    this.#pause = undefined
    this.#readsLeft = MAX_DRAIN_READS
    this.#read()
    await end
  }

  #read(): void {
    const isDraining = Number.isFinite(this.#readsLeft)
    while (this.#pause === undefined && this.#readsLeft > 0 && this.#take()) {
      this.#readsLeft--
      if (!isDraining) this.#pause = setTimeout(() => this.#resume(), PAUSE_MS).unref()
    }
  }

  #untilCrash(lines: readonly string[]): readonly string[] {
    const at = this.#isCrash ? 0 : lines.findIndex((line) => CRASH.test(line))
    this.#isCrash = at >= 0
    return at < 0 ? lines : lines.slice(0, at)
  }

  #resume(): void {
    this.#pause = undefined
    this.#read()
  }

  /** False if there is nothing now. */
  #take(): boolean {
    const chunk = (this.#stream.read(READ_BYTES) ?? this.#stream.read()) as Buffer | null
    if (chunk === null) return false
    const text = chunk.toString()
    this.#kept = (this.#kept + text).slice(-KEPT_LENGTH)
    const lines = this.#untilCrash(text.split('\n').filter((line) => line.trim() !== ''))
    this.#onLines(
      lines.slice(0, MAX_LINES).map((line) => line.slice(0, MAX_LINE_LENGTH)),
      Math.max(0, lines.length - MAX_LINES),
    )
    return true
  }
}

/** Resolves when a stream of a process that is gone has ended, or will not for long; it is destroyed then. */
export async function untilEnd(stream: Readable): Promise<void> {
  await within(
    finished(stream).catch(() => {}),
    MAX_DRAIN_MS,
  )
  stream.destroy()
}
