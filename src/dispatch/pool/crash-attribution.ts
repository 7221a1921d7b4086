import type { Logger } from 'pino'
import type { InFlightAttempt, PoolAttempt } from './attempts.ts'

/** Reasons for which the service kills a process that is not at fault, or in which no attempt runs. */
export const SERVICE_STOPPED = 'the service stopped'
export const BLOCKED_WHILE_IDLE = 'a handler blocked its process after its attempt had ended'
export const FULL_OF_OVERDUE = 'its handlers ran past their deadlines'

/** A process has ended, and with it all attempts that it had not answered. */
export interface ProcessExit {
  readonly reason: string
  /** Frames of the handler's own code, if the process printed a stack. */
  readonly stack: readonly string[]
  /** Attempts that had started, in the order of their start. */
  readonly started: readonly InFlightAttempt[]
  readonly notStarted: readonly PoolAttempt[]
  /** The attempt that most likely ended the process, if that is known. */
  readonly suspect: InFlightAttempt | undefined
  /** The number of handlers in the process that had passed their deadlines and had not returned. */
  readonly overdue: number
  /** The number of attempts that the process had answered. Their handlers may have left work running in it. */
  readonly answered: number
}

/** Which attempt and which handler ended a process. */
interface CrashAttribution {
  /** The attempt that ended the process, if no other attempt has ever run in that process. It counts as lost. */
  readonly culprit: InFlightAttempt | undefined
  /**
   * The other attempts. Their loss does not count: they run again at once, and each shares a process with as many others as its
   * `sharing` allows.
   */
  readonly rerun: readonly PoolAttempt[]
  /** The handler that most likely ended the process. */
  readonly suspectHandler: string | undefined
}

/**
 * Tells the attempt that ended a process from those that only shared it. Attempts that had not started are not at fault. The
 * suspect is the attempt that started last, because code that blocks or ends a process mostly does so as it starts; the suspect
 * runs alone next. There is no suspect if the process has answered a ping since that start. The other started attempts share a
 * process with few next, and run alone if they are lost again. An attempt counts as lost only if it was lost while it ran
 * alone.
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

/** The log warns at most this often of processes that end while no attempt runs in them. */
const IDLE_EXIT_INTERVAL_MS = 60_000
/** How many handlers one log line names. */
const MAX_NAMED = 8

/** Logs the end of processes. Further crashes of a handler that is known to be unstable are logged only at level `debug`. */
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

/** Log fields: the suspected attempt, or the names of the handlers if several are suspected. */
function namesOf(handlers: readonly string[], [first]: readonly InFlightAttempt[]): object {
  const [handler] = handlers
  return handlers.length > 1
    ? { handlers: handlers.slice(0, MAX_NAMED) }
    : { handler, uid: first?.attempt.work.event.uid }
}
