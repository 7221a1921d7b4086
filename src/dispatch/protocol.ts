import type { AttemptOutcome, Work } from '../domain/delivery.ts'
import type { ErrorDetail } from '../domain/errors.ts'
import type { HandlerDefinition } from '../domain/handler.ts'

/**
 * What passes between the service and a handler process, over sockets of their own: not the `ipc` channel of Node, which is
 * within reach of user code, and whose garbage would throw in the thread that acknowledges.
 */

/** File descriptors of a handler process beside its own standard ones, in the order of `stdio`. */
export const JOBS_FD = 3
/** Apart from where jobs come in, so that what it said last is read even where nothing can be written any more. */
export const ANSWERS_FD = 4
/** The service's own output: log lines go straight there. */
export const LOG_FD = 5
/** How far it has come with its jobs (`progress.ts`). */
export const PROGRESS_FD = 6

/** Of handlers on Linux, where priorities are a thread's own: acknowledgements go first when the processor is short. */
export const HANDLER_NICENESS = 10

/** What a handler process loads. */
export interface ProcessData {
  readonly handlersDir: string
  /** Provider name → file URL of its module. */
  readonly providerModules: Readonly<Record<string, string>>
  readonly logLevel: string
  /** Taken out of what handlers log. */
  readonly secrets: readonly string[]
}

/** One attempt, on its way into a handler process. Its body follows behind the message. */
export interface SentJob {
  /** Rises with each job of a process: they are started in this order. */
  readonly key: number
  readonly work: Omit<Work, 'body' | 'deliveryId' | 'lease'>
  readonly bodyBytes: number
  /** When its signal is aborted and it counts as timed out (ms since the epoch). */
  readonly deadlineAtMs: number
}

/** The same where it has arrived. */
export interface Job extends SentJob {
  readonly body: Buffer
}

/** How an attempt ended in its process. */
export interface JobResult {
  readonly outcome: Extract<AttemptOutcome, 'succeeded' | 'failed' | 'rejected' | 'retry_after' | 'timeout'>
  readonly error?: string
  readonly detail?: ErrorDetail
  /** With `retry_after`; absent: what it asked for was no time, and it waits as after any failure. */
  readonly afterMs?: number
  /** With `rejected`: why the event is not as its schema says; the handler did not run. */
  readonly quarantine?: readonly string[]
  /** With `quarantine`: the name of the judgement. */
  readonly judgement?: string
  readonly startedAtMs: number
  readonly durationMs: number
}

export type ToProcess =
  | ({
      readonly kind: 'load'
      /** It loads at the priority of acknowledgements, and steps back after. */
      readonly isHurried: boolean
    } & ProcessData)
  | { readonly kind: 'jobs'; readonly jobs: readonly SentJob[] }
  /** Answer, if you can. */
  | { readonly kind: 'ping' }
  /** The service stops: abort every signal. */
  | { readonly kind: 'abort' }
  /** Nothing more will come: write out the log, and end. */
  | { readonly kind: 'stop' }

export type FromProcess =
  | { readonly kind: 'loading'; readonly file: string }
  | { readonly kind: 'ready'; readonly handlers: readonly HandlerDefinition[] }
  | { readonly kind: 'unloadable'; readonly faults: readonly string[] }
  | { readonly kind: 'pong' }
  /** Log lines that it did not write, since there were too many. */
  | { readonly kind: 'dropped'; readonly lines: number }
  | {
      readonly kind: 'results'
      readonly results: readonly { readonly key: number; readonly result: JobResult }[]
      /** Jobs that it did not start, since they were taken back. */
      readonly refused: readonly number[]
      /** Handlers past their deadline that have still not returned: their places are not free. */
      readonly overdue: number
    }
