import pino, { type Logger } from 'pino'
import { openLines, PLAIN } from '../../log/log.ts'
import type { LineFormat } from '../../log/pretty.ts'

/** How many log lines one process may write per second, and at once after a silence. Further lines are dropped and counted. */
const LINES_PER_SECOND = 2_000
const BURST_LINES = 4_000
/** How often the number of dropped lines is reported. */
const REPORT_INTERVAL_MS = 1_000

interface BoundedLogOptions {
  readonly level: string
  readonly fd: number
  readonly format: LineFormat | undefined
  readonly withoutSecrets: (line: string) => string
  /** Called with the number of lines that were dropped. */
  readonly onDropped: (lines: number) => void
}

export interface BoundedLog {
  readonly log: Logger
  /** False if a line would be dropped now; the call then counts as a dropped line. */
  readonly mayLog: () => boolean
  readonly flush: () => void
}

/**
 * The log of a handler process, with a bounded rate. The process writes it directly to the output of the service, past the
 * thread that acknowledges. A slow or missing reader of that output does no harm.
 */
export function createBoundedLog({ level, fd, format, withoutSecrets, onDropped }: BoundedLogOptions): BoundedLog {
  const { lines, flush } = openLines(fd, format)
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

  /** Warns at once, since a process that floods its log may have no time to report later. */
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
