import pino, { type DestinationStream, type Logger } from 'pino'

/** Bytes that may wait for a stalled stdout; past it lines are dropped and counted, and nothing else waits. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024

/** Lines are written together, when there are so many bytes of them or this much time has gone by. */
const WRITE_BYTES = 2_048
/** A pipe takes so much at once or nothing (PIPE_BUF), so that lines of several processes do not mix, unless one is longer. */
const MAX_WRITE_BYTES = 4_096
const MAX_DELAY_MS = 50

export interface Log {
  readonly log: Logger
  /** Lines dropped because stdout did not take them. */
  readonly dropped: () => number
  /** Writes what is still buffered, as far as stdout takes it. */
  readonly flush: () => void
}

/**
 * Structured lines on stdout. Bodies, secrets and query strings are never passed in; where a name, an id or a library's
 * message brings a secret along, `withoutSecrets` takes it out of the line.
 */
export function createLog(level: string, withoutSecrets: (line: string) => string = (line) => line): Log {
  const { lines, dropped, flush } = openLines(1)
  return { log: pino({ ...PLAIN, level, hooks: { streamWrite: withoutSecrets } }, lines), dropped, flush }
}

/** The form of every line. */
export const PLAIN = { base: null, timestamp: pino.stdTimeFunctions.isoTime } as const

/** Where lines go: never waited for. They are written within `MAX_DELAY_MS`, and nothing wakes while there are none. */
export function openLines(fd: number) {
  const destination = pino.destination({
    fd,
    sync: false,
    minLength: WRITE_BYTES,
    maxWrite: MAX_WRITE_BYTES,
    maxLength: MAX_BUFFERED_BYTES,
  })
  let dropped = 0
  destination.on('drop', () => dropped++)
  // Whoever read our output is gone; the service is not.
  destination.on('error', () => dropped++)
  // Not pino's `periodicFlush`, which wakes twenty times a second though nothing is logged.
  let isFlushing = false
  const lines: DestinationStream & Pick<typeof destination, 'flushSync'> = {
    write(line) {
      destination.write(line)
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
