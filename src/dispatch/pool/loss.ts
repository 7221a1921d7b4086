import type { Logger } from 'pino'
import type { InFlight, Loss, Run } from './run.ts'

/** Why a process ended that nothing is wrong with. */
export const STOPPED = 'the service stopped'
export const HELD_IDLE = 'a handler held its process after its attempt had ended'
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

/** It has waited for too long, not run for too long: it is claimed again. */
export function giveBack({ company, resolve }: Run): void {
  const error = 'no process had room for it while its lease held'
  resolve({ outcome: 'released', error, isolate: company !== 'many', startedAtMs: Date.now(), durationMs: 0 })
}

/** A process that ends while nothing runs in it is logged so often. */
const IDLE_INTERVAL_MS = 60_000

/** Handlers that a line names. */
const MAX_NAMED = 8

/** Logs processes that are gone, but not one after the other of a handler of which that is known. */
export class LossLog {
  readonly #log: Logger
  readonly #isTroubled: (handler: string) => boolean
  #idleAtMs = Number.NEGATIVE_INFINITY

  constructor(log: Logger, isTroubled: (handler: string) => boolean) {
    this.#log = log
    this.#isTroubled = isTroubled
  }

  tell({ fault, begun, suspect }: Loss, again: number): void {
    if (begun.length === 0) {
      this.#tellIdle(fault)
      return
    }
    const suspects = suspect === undefined ? begun : [suspect]
    const handlers = [...new Set(suspects.map(({ run }) => run.work.handler))]
    const isKnown = handlers.some(this.#isTroubled)
    this.#log[isKnown ? 'debug' : 'warn'](
      { error: fault, ...namesOf(handlers, suspects), running: begun.length, again },
      'a handler process is replaced',
    )
  }

  #tellIdle(error: string): void {
    if (error === OUTLIVED) return
    const nowMs = performance.now()
    const isNew = nowMs - this.#idleAtMs > IDLE_INTERVAL_MS
    if (isNew) this.#idleAtMs = nowMs
    this.#log[isNew ? 'warn' : 'debug']({ error }, 'a handler process ended though nothing ran in it')
  }
}

/** The attempt that it most likely was, or the handlers of all that it may have been. */
function namesOf(handlers: readonly string[], [first]: readonly InFlight[]): object {
  const [handler] = handlers
  return handlers.length > 1 ? { handlers: handlers.slice(0, MAX_NAMED) } : { handler, uid: first?.run.work.event.uid }
}
