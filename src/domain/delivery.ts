import type { ErrorDetail } from './errors.ts'
import type { Headers, Origin } from './event.ts'

/**
 * One event for one handler.
 *
 * ```
 *              claim                 settle: succeeded
 *   pending ──────────→ running ───────────────────────→ succeeded ─┐
 *      ↑                   │                                        │ replay
 *      ├───────────────────┤ settle: retry, or released;            │
 *      │                   │ or the lease ran out                   │
 *      │                   └───────────────────────────→ dead ──────┤
 *      │                     settle: dead, or no attempts left      │
 *      └────────────────────────────────────────────────────────────┘
 * ```
 *
 * The claim counts the attempt before the handler runs, so that an event which kills the process cannot loop for ever. Only
 * the store changes states (`claim`, `settle`, `replay`). A delivery is dead for one of three reasons:
 * - `settlementOf` in `retry-or-dead.ts` decided so: the handler called `fail`, the event does not match its schema, or the last
 *   attempt failed;
 * - its lease ran out on the last attempt: `claim` found it so (`lease_lost`);
 * - its stored body no longer matches its checksum: `claim` found it so (`body_corrupt`).
 */
export const DELIVERY_STATES = ['pending', 'running', 'succeeded', 'dead'] as const
export type DeliveryState = (typeof DELIVERY_STATES)[number]

/**
 * How an attempt ended:
 * - `failed`: the handler threw;
 * - `rejected`: the handler called `fail`, or the event does not match its schema;
 * - `retry_after`: the handler asked for a later run;
 * - `timeout`: its deadline passed;
 * - `process_lost`: its handler process ended or was killed while it ran (`thread_lost` in releases before processes);
 * - `lease_lost`: the service that ran it went away;
 * - `released`: given back unfinished, and not counted;
 * - `body_corrupt`: the stored bytes no longer match their checksum, so it never ran.
 */
export type AttemptOutcome =
  | 'succeeded'
  | 'failed'
  | 'rejected'
  | 'retry_after'
  | 'timeout'
  | 'process_lost'
  | 'thread_lost'
  | 'lease_lost'
  | 'released'
  | 'body_corrupt'

export interface Attempt {
  readonly number: number
  readonly outcome: AttemptOutcome
  readonly error?: string
  /** Everything known about what the handler threw; `error` is its first line. */
  readonly errorDetail?: ErrorDetail
  readonly startedAtMs: number
  readonly durationMs: number
}

/** A delivery as lists show it: everything but its attempts. */
export interface DeliverySummary {
  readonly eventUid: string
  readonly source: string
  readonly type: string
  readonly handler: string
  readonly state: DeliveryState
  /** Attempts counted since it was created or last replayed. */
  readonly attempts: number
  /** When it may run next; for a terminal one, when it became so. */
  readonly dueAtMs: number
  readonly lastError?: string
}

/** A delivery that was leased as its event was appended (`NewEvent.lease`). Its attempt is the first. */
export interface LeasedDelivery {
  readonly deliveryId: number
  readonly lease: string
  readonly handler: string
}

/** A claimed delivery: everything its handler needs. */
export interface Work {
  readonly deliveryId: number
  /** Fencing token: `settle` takes effect only while the delivery still carries it. */
  readonly lease: string
  readonly handler: string
  /** This attempt's number, counting from 1. */
  readonly attempt: number
  /**
   * It was lost with its process when it ran alone, or with its service twice in a row: now it gets a process of its own, so
   * that it can only harm itself.
   */
  readonly isolated: boolean
  readonly event: {
    readonly uid: string
    readonly source: string
    readonly provider: string
    readonly id: string
    readonly type: string
    readonly receivedAtMs: number
    readonly origin: Origin
    readonly task?: string
    readonly headers: Headers
    readonly traceparent?: string
  }
  readonly body: Uint8Array
}

/** The outcomes that a handler process answers with; those of the other attempts come from the service or the store. */
export const HANDLER_OUTCOMES = [
  'succeeded',
  'failed',
  'rejected',
  'retry_after',
  'timeout',
] as const satisfies readonly AttemptOutcome[]

/** How an attempt ended that its handler process has answered. */
export interface HandlerResult {
  readonly outcome: (typeof HANDLER_OUTCOMES)[number]
  readonly error?: string
  readonly detail?: ErrorDetail
  /** With `retry_after`; absent where the handler asked for an invalid time: then it waits as after any failure. */
  readonly afterMs?: number
  /** With `rejected`: why the event does not match its schema; the handler did not run. */
  readonly quarantine?: readonly string[]
  /** With `quarantine`: the name of the judgement. */
  readonly judgement?: string
  readonly startedAtMs: number
  readonly durationMs: number
}

/** How an attempt ended, whether its process answered or not. `settlementOf` decides what follows for the delivery. */
export type AttemptResult =
  | HandlerResult
  | {
      readonly outcome: Extract<AttemptOutcome, 'process_lost'>
      readonly error: string
      readonly detail?: ErrorDetail
      readonly startedAtMs: number
      readonly durationMs: number
    }
  | {
      readonly outcome: Extract<AttemptOutcome, 'released'>
      readonly error: string
      readonly isolate: boolean
      readonly startedAtMs: number
      readonly durationMs: number
    }

/** What follows from an attempt for its delivery, on its way into the store. */
export interface Settlement {
  readonly deliveryId: number
  readonly lease: string
  /**
   * - `succeeded`, `dead`: terminal;
   * - `retry`: pending again, due at `dueAtMs`;
   * - `released`: pending again at `dueAtMs`, and the attempt is not counted.
   */
  readonly verdict: 'succeeded' | 'retry' | 'dead' | 'released'
  readonly outcome: AttemptOutcome
  /** For `retry` and `released`: the next run gets a process of its own. */
  readonly isolate: boolean
  readonly dueAtMs: number
  readonly error?: string
  readonly detail?: ErrorDetail
  /** The store quarantines the event for these reasons in the same commit. */
  readonly quarantine?: readonly string[]
  /** With `quarantine`: the name of the judgement, as in `NewEvent.unjudged`. */
  readonly judgement?: string
  /** With `dead`: the routes of an event in conflict with this one, should it take over the id. Absent: none takes it over. */
  readonly routes?: TypeRoutes
  readonly startedAtMs: number
  readonly durationMs: number
}

/** Where events of one source are routed by their type alone. Plain data, so that it can be sent to a thread. */
export interface TypeRoutes {
  readonly source: string
  /** Patterns of the types that the source takes. */
  readonly accepts: readonly string[]
  /** Handlers of the source's events, and patterns of the types that each takes. */
  readonly handlers: readonly { readonly name: string; readonly types: readonly string[] }[]
}
