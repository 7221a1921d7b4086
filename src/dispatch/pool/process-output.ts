import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { settlesWithin } from '../../domain/clock.ts'

/** Bytes of one read, and the pause before the next read. A program that writes faster has to wait in its own write. */
const READ_BYTES = 16_384
const PAUSE_MS = 100
/** Lines of one read that are logged; the others are counted. */
const MAX_LINES = 20
const MAX_LINE_LENGTH = 2_000
/** How many characters of the end of the output are kept: a process that crashes prints the reason there. */
const KEPT_LENGTH = 8_192
/** The first line of the runtime's own report of a crash. The report is kept for the attempt and not logged. */
const CRASH = /^(?:----- Native stack trace|<--- Last few GCs|# Fatal|#\s*$|FATAL ERROR)/
/**
 * How long the rest of the output may take once the process has ended. A program that the process started may hold the stream
 * open forever.
 */
const MAX_DRAIN_MS = 50
const MAX_DRAIN_READS = 8

/**
 * Reads what a handler process writes to stdout or stderr other than by `console`. The service reads slowly, so that a flood of
 * output takes no time from acknowledgements.
 */
export class ProcessOutput {
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

  /** The end of the output. */
  kept = (): string => this.#kept

  /** The process has ended: reads what is left, within bounds. */
  async drain(): Promise<void> {
    const end = endOfStream(this.#stream)
    clearTimeout(this.#pause)
    this.#pause = undefined
    this.#readsLeft = MAX_DRAIN_READS
    this.#read()
    await end
  }

  #read(): void {
    const isDraining = Number.isFinite(this.#readsLeft)
    while (this.#pause === undefined && this.#readsLeft > 0 && this.#readOnce()) {
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

  /** False if there is nothing to read now. */
  #readOnce(): boolean {
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

/** Resolves when a stream of an ended process has ended, or after a short wait; then destroys the stream. */
export async function endOfStream(stream: Readable): Promise<void> {
  await settlesWithin(
    finished(stream).catch(() => {}),
    MAX_DRAIN_MS,
  )
  stream.destroy()
}

const OUT_OF_MEMORY = /FATAL ERROR: .*(?:out of memory|Allocation failed|invalid (?:array|table) size)/i
const FATAL = /(?:FATAL ERROR|Fatal|# Fatal error).*/
const UNCAUGHT = /^[^\S\n]*(?:Uncaught )?(\w*Error\b.*)$/m

/** Why a handler process ended, in words: from its exit code or signal, and from the end of its output. */
export function exitReason(code: number | null, signal: NodeJS.Signals | null, output: string): string {
  const [memory] = OUT_OF_MEMORY.exec(output) ?? []
  if (memory !== undefined) return `the handler process ran out of memory: ${memory.replace('FATAL ERROR: ', '')}`
  const [fatal] = FATAL.exec(output) ?? []
  if (signal !== null) {
    const why =
      signal === 'SIGKILL' ? ', which the system sends when memory is short' : fatal === undefined ? '' : `: ${fatal}`
    return `the handler process was killed by ${signal}${why}`
  }
  const [, uncaught] = UNCAUGHT.exec(output) ?? []
  return `the handler process exited with code ${code}${uncaught === undefined ? '' : `: ${uncaught}`}`
}

/** V8 prints the JavaScript stack of a process that aborts, and Node that of an uncaught error. */
const FRAME = /^[^\S\n]*(?:\d+: |at )(?<frame>.*:\d+:\d+\)?)$/gm
const NOT_HANDLER_CODE = /node:|\/dispatch\/process\//
const MAX_FRAMES = 16

/** The frames of the handler's own code in the end of the output, innermost first. */
export const crashStack = (output: string): readonly string[] =>
  [...output.matchAll(FRAME)]
    .map(({ groups }) => `at ${groups?.frame?.replace('file://', '')}`)
    .filter((frame) => !NOT_HANDLER_CODE.test(frame))
    .slice(0, MAX_FRAMES)
