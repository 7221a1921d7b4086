import pino, { type DestinationStream, type Logger } from 'pino'
import { LineWriter } from './line-writer.ts'
import type { LineFormat } from './pretty.ts'
import { createGrowingFilter } from './redact.ts'

export interface Log {
  readonly log: Logger
  /** From now on, removes these secrets from every line, too. */
  readonly keepOut: (secrets: readonly string[]) => void
  /** How many lines were dropped because stdout did not accept them. */
  readonly dropped: () => number
  /** Writes the buffered lines, as far as stdout accepts them. */
  readonly flush: () => void
}

/**
 * Logs structured lines to stdout, in `format` if there is one. Callers never pass bodies, secrets or query strings. If a name, an id
 * or a library's message contains one of the secrets, the line is written without it.
 */
export function createLog(level: string, secrets: readonly string[] = [], format?: LineFormat): Log {
  const { lines, dropped, flush } = openLines(1, format)
  const { line, keepOut } = createGrowingFilter(secrets)
  return { log: pino({ ...PLAIN, level, hooks: { streamWrite: line } }, lines), keepOut, dropped, flush }
}

/** What every line has. */
export const PLAIN = { base: null, timestamp: pino.stdTimeFunctions.isoTime } as const

/** A destination that callers never wait for. */
export function openLines(fd: number, format?: LineFormat) {
  const writer = new LineWriter(fd)
  const flush = (): void => writer.flush()
  const lines = {
    write: (line: string): void => writer.write(format === undefined ? line : format(line)),
    // pino calls it after a fatal line.
    flushSync: flush,
  } satisfies DestinationStream & { flushSync: () => void }
  return { lines, dropped: () => writer.dropped, flush }
}
