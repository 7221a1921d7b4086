import type { MessagePort } from 'node:worker_threads'
import type { AttemptOutcome, Work } from '../domain/delivery.ts'
import type { HandlerRegistration } from '../domain/handler.ts'

/** What a handler thread is started with. */
export interface ThreadData {
  readonly handlersDir: string
  /** Provider name → file URL of its module. */
  readonly providerModules: Readonly<Record<string, string>>
  readonly logLevel: string
}

export interface ThreadLoading extends ThreadData {
  /** It loads at the priority of acknowledgements, and steps back after. */
  readonly isHurried: boolean
}

/** The same, with where it listens and answers: not its `parentPort`, which is within reach of user code. */
export interface ThreadStart extends ThreadLoading {
  readonly port: MessagePort
}

/** One attempt, on its way into a handler thread. */
export interface Job {
  /** Unique in its thread. */
  readonly key: number
  readonly work: Work
  /** When its signal is aborted and it counts as timed out (ms since the epoch). */
  readonly deadlineAtMs: number
}

/** How an attempt ended in its thread. */
export interface JobResult {
  readonly outcome: Extract<AttemptOutcome, 'succeeded' | 'failed' | 'rejected' | 'retry_after' | 'timeout'>
  readonly error?: string
  /** With `retry_after`. */
  readonly afterMs?: number
  readonly startedAtMs: number
  readonly durationMs: number
}

export type ToThread =
  | { readonly kind: 'jobs'; readonly jobs: readonly Job[] }
  /** The service stops: abort every signal. */
  | { readonly kind: 'abort' }
  /** Nothing more will come: write out the log, and say when that is done. */
  | { readonly kind: 'stop' }

export type FromThread =
  | { readonly kind: 'loading'; readonly file: string }
  | { readonly kind: 'ready'; readonly registrations: readonly HandlerRegistration[] }
  | { readonly kind: 'unloadable'; readonly faults: readonly string[] }
  | { readonly kind: 'stopped' }
  | {
      readonly kind: 'results'
      readonly results: readonly { readonly key: number; readonly result: JobResult }[]
      /** Handlers past their deadline that have still not returned: their slots are not free. */
      readonly overdue: number
    }
