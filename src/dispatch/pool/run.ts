import type { AttemptOutcome, Work } from '../../domain/delivery.ts'
import type { ErrorDetail } from '../../domain/errors.ts'
import type { JobResult } from '../protocol.ts'

/** How an attempt ended, its process's own end included. */
export type Ran =
  | JobResult
  | {
      readonly outcome: Extract<AttemptOutcome, 'process_lost'>
      readonly error: string
      readonly detail?: ErrorDetail
      readonly startedAtMs: number
      readonly durationMs: number
    }
  | {
      /** It is not over, and goes back uncounted. */
      readonly outcome: Extract<AttemptOutcome, 'released'>
      readonly error: string
      readonly isolate: boolean
      readonly startedAtMs: number
      readonly durationMs: number
    }

/** An attempt on its way through the pool; it is answered exactly once. */
export interface Run {
  readonly work: Work
  /** With how many others it may share a process: the more often it was lost with one, the fewer. */
  readonly company: 'many' | 'few' | 'none'
  /** When it has to have begun, or its lease would end before it does (by `performance.now`). */
  readonly startByMs: number
  readonly resolve: (ran: Ran) => void
}

export interface InFlight {
  readonly run: Run
  /** Since the epoch. */
  readonly sentAtMs: number
  /** The same and its deadline, by the monotonic clock. */
  readonly sinceMs: number
  readonly untilMs: number
}

/** A process is gone, and with it what it had not answered. */
export interface Loss {
  readonly fault: string
  /** Of the handler's own code, where the process told where it was. */
  readonly stack: readonly string[]
  /** Attempts that had begun, in the order in which they did. */
  readonly begun: readonly InFlight[]
  readonly notBegun: readonly Run[]
  /** The one of which it most likely was the doing, if that can be told. */
  readonly suspect: InFlight | undefined
  /** Handlers beside them that had outlived their attempts. */
  readonly overdue: number
  /** Attempts that had ended in it before, whose handlers may have left something behind. */
  readonly answered: number
}
