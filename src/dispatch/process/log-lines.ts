import pino, { type Logger } from 'pino'
import { openLines, PLAIN } from '../../log/log.ts'

/** Log lines of one process: so many a second, and so many at once after a silence; more are dropped and counted. */
const LINES_PER_SECOND = 2_000
const BURST_LINES = 4_000
/** So often it is told how many were dropped. */
const REPORT_INTERVAL_MS = 1_000

export interface LogLinesOptions {
  readonly level: string
  readonly fd: number
  readonly withoutSecrets: (line: string) => string
  /** Told how many lines were dropped. */
  readonly onDropped: (lines: number) => void
}

export interface LogLines {
  readonly log: Logger
  /** False if a line would be dropped, which then is as good as dropped. */
  readonly mayLog: () => boolean
  readonly flush: () => void
}

/**
 * The log of a handler process, bounded. It writes to the service's own output, past the thread that acknowledges; whoever
 * does not read there, or is gone, harms nothing.
 */
export function createLogLines({ level, fd, withoutSecrets, onDropped }: LogLinesOptions): LogLines {
  const { lines, flush } = openLines(fd)
  const own = pino({ ...PLAIN, level }, lines)
  let left = BURST_LINES
  let refilledAt = performance.now()
  let dropped = 0
  let isReporting = false

  function hasRoom(): boolean {
    const now = performance.now()
    left = Math.min(BURST_LINES, left + ((now - refilledAt) / 1_000) * LINES_PER_SECOND)
    refilledAt = now
    return left >= 1
  }

  /** Told at once, since a process that floods may not come to tell more. */
  function drop(): void {
    dropped++
    if (isReporting) return
    isReporting = true
    own.warn(`log lines of handlers are dropped: they come faster than ${LINES_PER_SECOND} a second`)
    setTimeout(report, REPORT_INTERVAL_MS).unref()
  }

  function report(): void {
    own.warn({ dropped }, 'log lines of handlers were dropped')
    onDropped(dropped)
    dropped = 0
    isReporting = false
  }

  function mayLog(): boolean {
    if (hasRoom()) return true
    drop()
    return false
  }

  const bounded = {
    write(line: string): void {
      if (!mayLog()) return
      left--
      lines.write(withoutSecrets(line))
    },
  }
  return { log: pino({ ...PLAIN, level }, bounded), mayLog, flush }
}
