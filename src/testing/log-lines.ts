import type { Logger } from 'pino'

/** One line that a handler logged: the name of its level, its message and its fields. */
export interface LogLine {
  readonly level: string
  readonly msg?: string
  readonly [field: string]: unknown
}

/** A log that keeps its lines, without the time and without the fields that the service adds to each line. */
export async function collectLog(): Promise<{ readonly lines: readonly LogLine[]; readonly log: Logger }> {
  const { default: pino } = await import('pino')
  const lines: LogLine[] = []
  const write = (line: string): void => {
    lines.push(JSON.parse(line) as LogLine)
  }
  const formatters = { level: (level: string) => ({ level }) }
  const log = pino({ base: null, timestamp: false, level: 'trace', formatters }, { write })
  // The service's fields are the bindings of the child that it makes of its log.
  return { lines, log: Object.create(log, { child: { value: () => log } }) as Logger }
}
