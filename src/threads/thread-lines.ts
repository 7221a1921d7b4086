import type { Writable } from 'node:stream'
import { parentPort, type Worker } from 'node:worker_threads'
import type { Logger } from 'pino'
import { lineStream } from '../log/captured-console.ts'

/**
 * How many lines that users' code prints in a thread of the service are logged at once, and per second; further lines are
 * dropped and counted. Without this, the main thread of the service would have to write everything that the code prints.
 */
const LINES_AT_ONCE = 100
const LINES_PER_SECOND = 50

interface LineMessage {
  readonly kind: 'line'
  readonly level: 'info' | 'warn'
  readonly line: string
  /** How many lines were dropped before this one. */
  readonly dropped: number
}

/** Users' code may post other messages, or similar ones. */
function isLineMessage(message: unknown): message is LineMessage {
  const { kind, level, line } = (message ?? {}) as Partial<Record<keyof LineMessage, unknown>>
  return kind === 'line' && (level === 'info' || level === 'warn') && typeof line === 'string'
}

/** Sends the lines that users' code prints to the service. To be called in the thread, before users' code runs. */
export function postLines(): void {
  let left = LINES_AT_ONCE
  let refilledAt = performance.now()
  let dropped = 0
  const postLine = (level: LineMessage['level'], line: string): void => {
    const now = performance.now()
    left = Math.min(LINES_AT_ONCE, left + ((now - refilledAt) / 1_000) * LINES_PER_SECOND)
    refilledAt = now
    if (left < 1) {
      dropped++
      return
    }
    left--
    parentPort?.postMessage({ kind: 'line', level, line, dropped } satisfies LineMessage)
    dropped = 0
  }
  // Replaces only `write`: Node uses other members of these streams for its messages between threads.
  process.stdout.write = into(lineStream((line) => postLine('info', line)))
  process.stderr.write = into(lineStream((line) => postLine('warn', line)))
}

const into = (stream: Writable): typeof process.stdout.write => stream.write.bind(stream)

/** Logs the lines of a thread. To be called in the service. `about`: fields that say whose thread it is. */
export function logLines(worker: Worker, log: Logger, about: object): void {
  worker.on('message', (message: unknown) => {
    if (!isLineMessage(message)) return
    const { level, line, dropped } = message
    if (dropped > 0) log.warn({ ...about, dropped }, 'log lines of a provider module were dropped')
    log[level](about, line)
  })
}
