import pino, { type DestinationStream, type Logger } from 'pino'
import type { LineFormat } from './pretty.ts'

/** Bytes that may wait for a stalled stdout; beyond it lines are dropped and counted, and the service goes on. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024

/** Lines are written together once they have this many bytes, or after `MAX_DELAY_MS`. */
const WRITE_BYTES = 2_048
/** A write of at most this size to a pipe is atomic (PIPE_BUF): lines of several processes do not mix, unless a line is longer. */
const MAX_WRITE_BYTES = 4_096
const MAX_DELAY_MS = 50

export interface Log {
  readonly log: Logger
  /** How many lines were dropped because stdout did not accept them. */
  readonly dropped: () => number
  /** Writes the buffered lines, as far as stdout accepts them. */
  readonly flush: () => void
}

/**
 * Logs structured lines to stdout, in `format` if there is one. Callers never pass bodies, secrets or query strings. If a name, an id
 * or a library's message contains a secret, `withoutSecrets` removes it from the line.
 */
export function createLog(
  level: string,
  withoutSecrets: (line: string) => string = (line) => line,
  format?: LineFormat,
): Log {
  const { lines, dropped, flush } = openLines(1, format)
  return { log: pino({ ...PLAIN, level, hooks: { streamWrite: withoutSecrets } }, lines), dropped, flush }
}

/** What every line has. */
export const PLAIN = { base: null, timestamp: pino.stdTimeFunctions.isoTime } as const

/** A destination that callers never wait for. Writes lines within `MAX_DELAY_MS`, and has no timer while there are none. */
export function openLines(fd: number, format?: LineFormat) {
  const destination = pino.destination({
    fd,
    sync: false,
    minLength: WRITE_BYTES,
    maxWrite: MAX_WRITE_BYTES,
    maxLength: MAX_BUFFERED_BYTES,
  })
  let dropped = 0
  destination.on('drop', () => dropped++)
  // If the reader of the output is gone, the service goes on.
  destination.on('error', () => dropped++)
  // Not pino's `periodicFlush`, which would wake twenty times a second even without lines.
  let isFlushing = false
  const lines: DestinationStream & Pick<typeof destination, 'flushSync'> = {
    write(line) {
      destination.write(format === undefined ? line : format(line))
      if (isFlushing) return
      isFlushing = true
      setTimeout(() => {
        isFlushing = false
        destination.flush()
      }, MAX_DELAY_MS).unref()
    },
    flushSync: () => destination.flushSync(),
  }
  return { lines, dropped: () => dropped, flush: () => destination.flushSync() }
}
