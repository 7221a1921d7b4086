import type { Logger } from 'pino'
import type { Loss, Run } from './run.ts'

/** Why a process ended that nothing is wrong with. */
export const STOPPED = 'the service stopped'
export const OUTLIVED = 'its handlers outlived their deadlines'

export function answerLost({ resolve }: Run, startedAtMs: number, error: string, stack: readonly string[] = []): void {
  resolve({
    outcome: 'process_lost',
    error,
    ...(stack.length > 0 && { detail: { name: 'ProcessLost', message: error, stack } }),
    startedAtMs,
    durationMs: Date.now() - startedAtMs,
  })
}

/** Tells of a process that is gone, but not again and again of a handler that was told of already. */
export function tellLoss(
  log: Logger,
  { fault, begun }: Loss,
  again: number,
  isTroubled: (handler: string) => boolean,
): void {
  if (begun.length === 0 && fault === OUTLIVED) return
  const last = begun.at(-1)?.run.work
  const level = last !== undefined && isTroubled(last.handler) ? 'debug' : 'warn'
  const about = last === undefined ? {} : { handler: last.handler, uid: last.event.uid }
  log[level]({ error: fault, ...about, running: begun.length, again }, 'a handler process is replaced')
}
