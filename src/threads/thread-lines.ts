import type { Writable } from 'node:stream'
import { parentPort, type Worker } from 'node:worker_threads'
import type { Logger } from 'pino'
import { lineStream } from '../log/captured-console.ts'

/**
 * What users' code writes to `console` in a thread of the service, as lines of the log: so many at once and in a second; more
 * are left out and counted. Node itself would have the service's own thread pass on all that comes.
 */
const LINES_AT_ONCE = 100
const LINES_PER_SECOND = 50

interface Said {
  readonly kind: 'said'
  readonly level: 'info' | 'warn'
  readonly line: string
  /** Lines that were left out before it. */
  readonly dropped: number
}

/** Users' code may say something else, and something like it. */
function isSaid(message: unknown): message is Said {
  const { kind, level, line } = (message ?? {}) as Partial<Record<keyof Said, unknown>>
  return kind === 'said' && (level === 'info' || level === 'warn') && typeof line === 'string'
}

/** In the thread, before any code of users'. */
export function sayLines(): void {
  let left = LINES_AT_ONCE
  let refilledAt = performance.now()
  let dropped = 0
  const say = (level: Said['level'], line: string): void => {
    const now = performance.now()
    left = Math.min(LINES_AT_ONCE, left + ((now - refilledAt) / 1_000) * LINES_PER_SECOND)
    refilledAt = now
    if (left < 1) {
      dropped++
      return
    }
    left--
    parentPort?.postMessage({ kind: 'said', level, line, dropped } satisfies Said)
    dropped = 0
  }
  // The streams themselves stay: Node's own messages between threads ask them for more.
  process.stdout.write = into(lineStream((line) => say('info', line)))
  process.stderr.write = into(lineStream((line) => say('warn', line)))
}

const into = (stream: Writable): typeof process.stdout.write => stream.write.bind(stream)

/** In the service. `about`: what tells whose thread it is. */
export function logLines(worker: Worker, log: Logger, about: object): void {
  worker.on('message', (message: unknown) => {
    if (!isSaid(message)) return
    const { level, line, dropped } = message
    if (dropped > 0) log.warn({ ...about, dropped }, 'log lines of a provider module were dropped')
    log[level](about, line)
  })
}
