import type { Logger } from 'pino'
import type { InFlightAttempt, PoolAttempt } from './attempts.ts'

/** Why the service killed a process that did nothing wrong, or in which nothing ran. */
export const SERVICE_STOPPED = 'the service stopped'
export const BLOCKED_WHILE_IDLE = 'a handler held its process after its attempt had ended'
export const FULL_OF_OVERDUE = 'its handlers outlived their deadlines'

/** A process has ended, and with it all attempts that it had not answered. */
export interface ProcessExit {
  readonly reason: string
  /** Frames of the handler's own code, where the process printed where it was. */
  readonly stack: readonly string[]
  /** Attempts that had started, in that order. */
  readonly started: readonly InFlightAttempt[]
  readonly notStarted: readonly PoolAttempt[]
  /** The attempt that most likely ended the process, if that is known. */
  readonly suspect: InFlightAttempt | undefined
  /** Handlers in the process that had outlived their deadlines. */
  readonly overdue: number
  /** Attempts that the process had answered before; their handlers may have left something behind. */
  readonly answered: number
}

/** Which attempt and which handler a lost process is charged to. */
interface CrashAttribution {
  /** The attempt that ended the process, as nothing else has ever run in it. It counts as lost. */
  readonly culprit: InFlightAttempt | undefined
  /** The other attempts. They do not count yet: they run again at once, and share a process with as many as they may. */
  readonly rerun: readonly PoolAttempt[]
  /** The handler that most likely ended the process. */
  readonly suspectHandler: string | undefined
}

/**
 * Tells the attempt that ended a process from those that only shared it. Attempts that had not started are innocent. The first
 * suspect is the attempt that started last, since what blocks or ends a process mostly does so at once; it runs alone next,
 * unless the process has answered since it started. The others share a process with few next, and run alone if they are lost
 * again. Only an attempt that was lost while alone counts.
 */
export function attributeCrash({ started, notStarted, suspect, overdue, answered }: ProcessExit): CrashAttribution {
  const isFresh = overdue + answered === 0
  const [first, ...others] = started
  if (first !== undefined && others.length === 0 && isFresh)
    return { culprit: first, rerun: notStarted, suspectHandler: first.attempt.work.handler }
  const rerun = started.map((inFlight) => withFewer(inFlight.attempt, inFlight === suspect))
  const only = isFresh ? onlyHandlerOf(started) : undefined
  return {
    culprit: undefined,
    rerun: [...notStarted, ...rerun],
    suspectHandler: suspect?.attempt.work.handler ?? only,
  }
}

/** The handler that all attempts belong to; undefined if there are several. */
function onlyHandlerOf(started: readonly InFlightAttempt[]): string | undefined {
  const [name, ...others] = new Set(started.map(({ attempt }) => attempt.work.handler))
  return others.length === 0 ? name : undefined
}

const withFewer = (attempt: PoolAttempt, isSuspect: boolean): PoolAttempt => ({
  ...attempt,
  sharing: isSuspect || attempt.sharing !== 'many' ? 'alone' : 'few',
})

/** The log warns this often of processes that end while nothing runs in them. */
const IDLE_EXIT_INTERVAL_MS = 60_000
/** Handlers that a log line names. */
const MAX_NAMED = 8

/** Logs processes that have ended; after a handler's crashes are known, its further ones only at level `debug`. */
export class ExitLog {
  readonly #log: Logger
  readonly #isUnstable: (handler: string) => boolean
  #idleExitAtMs = Number.NEGATIVE_INFINITY

  constructor(log: Logger, isUnstable: (handler: string) => boolean) {
    this.#log = log
    this.#isUnstable = isUnstable
  }

  write({ reason, started, suspect }: ProcessExit, rerun: number): void {
    if (started.length === 0) {
      this.#writeIdle(reason)
      return
    }
    const suspects = suspect === undefined ? started : [suspect]
    const handlers = [...new Set(suspects.map(({ attempt }) => attempt.work.handler))]
    const isKnown = handlers.some(this.#isUnstable)
    this.#log[isKnown ? 'debug' : 'warn'](
      { error: reason, ...namesOf(handlers, suspects), running: started.length, again: rerun },
      'a handler process is replaced',
    )
  }

  #writeIdle(error: string): void {
    if (error === FULL_OF_OVERDUE) return
    const nowMs = performance.now()
    const isNew = nowMs - this.#idleExitAtMs > IDLE_EXIT_INTERVAL_MS
    if (isNew) this.#idleExitAtMs = nowMs
    this.#log[isNew ? 'warn' : 'debug']({ error }, 'a handler process ended though nothing ran in it')
  }
}

/** The attempt that is suspected, or the handlers of all attempts that are. */
function namesOf(handlers: readonly string[], [first]: readonly InFlightAttempt[]): object {
  const [handler] = handlers
  return handlers.length > 1
    ? { handlers: handlers.slice(0, MAX_NAMED) }
    : { handler, uid: first?.attempt.work.event.uid }
}
