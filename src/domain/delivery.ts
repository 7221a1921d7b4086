import type { ServiceAnswer } from './answer.ts'
import type { AttemptCause } from './cause.ts'
import type { ErrorDetail } from './errors.ts'
import type { Headers, NewEvent, Origin } from './event.ts'

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
 *      │                     settle: dead, or            │          │
 *      │                     no attempts left            │ discard  │
 *      │                                                 ↓          │
 *      │                                             discarded ─────┤
 *      └────────────────────────────────────────────────────────────┘
 * ```
 *
 * The claim counts the attempt before the handler runs, so that an event which kills the process cannot loop for ever. Only
 * the store changes states (`claim`, `settle`, `replay`, `discard`). An operator discards a dead delivery that needs nothing more.
 * A delivery is dead for one of three reasons:
 * - `settlementOf` in `retry-or-dead.ts` decided so: the handler called `fail`, the event does not match its schema, or the last
 *   attempt failed;
 * - `claim` found that its lease had run out on the last attempt (`lease_lost`);
 * - `claim` found that its stored body no longer matches the checksum (`body_corrupt`).
 */
export const DELIVERY_STATES = ['pending', 'running', 'succeeded', 'dead', 'discarded'] as const
export type DeliveryState = (typeof DELIVERY_STATES)[number]

/**
 * How an attempt ended:
 * - `failed`: the handler threw;
 * - `rejected`: the handler called `fail`, or the event does not match its schema;
 * - `retry_after`: the handler called `retryAfter`;
 * - `timeout`: the handler did not finish before its deadline;
 * - `process_lost`: the handler process ended or was killed during the attempt (`thread_lost`: the same in older releases, which ran
 *   handlers in threads);
 * - `lease_lost`: the service that held the lease ended or lost it;
 * - `released`: the service released the delivery unfinished, and the attempt is not counted;
 * - `body_corrupt`: the stored bytes no longer match their checksum, so the handler never ran.
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
  /** The id of the replay that it belongs to. Absent: it belongs to none. */
  readonly replay?: string
  /** Of a failed attempt: the id of its cause. */
  readonly cause?: string
  /** Of a handler that forwards events. Absent: no answer came. */
  readonly answer?: ServiceAnswer
  readonly startedAtMs: number
  readonly durationMs: number
}

/** A delivery without its attempts, for lists. */
export interface DeliverySummary {
  readonly eventUid: string
  readonly source: string
  readonly type: string
  readonly handler: string
  readonly state: DeliveryState
  /** Attempts since the delivery was created or last replayed. */
  readonly attempts: number
  /** When a pending delivery may run next; when a terminal one ended; when one that waits for its turn was created or replayed. */
  readonly dueAtMs: number
  /** A pending delivery that does not run before an earlier one with its order key has ended. */
  readonly waitsForTurn?: true
  readonly lastError?: string
  /** Of a dead or discarded delivery: the id of the cause of its death, once it is known. */
  readonly cause?: string
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
  /** Since when it could have started, by this process's clock. */
  readonly dueAtMs: number
  /**
   * The delivery runs in a process of its own, so that it cannot harm others: it was lost with its process although it ran alone, or
   * twice in a row with its service.
   */
  readonly isolated: boolean
  /** The delivery has an order key. */
  readonly ordered?: true
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

/** The work of a delivery that was leased as its event was appended. */
export const leasedWork = (event: NewEvent, { deliveryId, lease, handler }: LeasedDelivery): Work => ({
  deliveryId,
  lease,
  handler,
  attempt: 1,
  dueAtMs: event.receivedAtMs,
  isolated: false,
  event: {
    uid: event.uid,
    source: event.source,
    provider: event.provider,
    id: event.id,
    type: event.type,
    receivedAtMs: event.receivedAtMs,
    origin: event.origin,
    headers: event.headers,
    ...(event.task !== undefined && { task: event.task }),
    ...(event.traceparent !== undefined && { traceparent: event.traceparent }),
  },
  body: event.body,
})

/** The outcomes that a handler process reports. The service or the store records the others. */
export const HANDLER_OUTCOMES = [
  'succeeded',
  'failed',
  'rejected',
  'retry_after',
  'timeout',
] as const satisfies readonly AttemptOutcome[]

/** How an attempt ended, as its handler process reported it. */
export interface HandlerResult {
  readonly outcome: (typeof HANDLER_OUTCOMES)[number]
  readonly error?: string
  readonly detail?: ErrorDetail
  readonly answer?: ServiceAnswer
  /** With `retry_after`. Absent: the handler asked for an invalid time, and the delivery waits as after any failure. */
  readonly afterMs?: number
  /** With `rejected`: why the event does not match its schema; the handler did not run. */
  readonly quarantine?: readonly string[]
  /** With `quarantine`: the id of the schema check that failed (`judgementId`). */
  readonly judgement?: string
  readonly startedAtMs: number
  readonly durationMs: number
}

/** How an attempt ended, reported by its process or not. `settlementOf` decides what follows for the delivery. */
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

/** The consequence of an attempt for its delivery, for the store to record. */
export interface Settlement {
  readonly deliveryId: number
  readonly lease: string
  /**
   * - `succeeded`, `dead`: terminal;
   * - `retry`: pending again, due at `dueAtMs`;
   * - `released`: pending again at `dueAtMs`, and the attempt is not counted;
   * - `held`: its source (`heldFor`) is paused: pending again, due only when the source is resumed, and nothing is recorded of the
   *   attempt. If the source is not paused any more, it is due now.
   */
  readonly verdict: 'succeeded' | 'retry' | 'dead' | 'released' | 'held'
  readonly heldFor?: string
  readonly outcome: AttemptOutcome
  /** For `retry` and `released`: the next run gets a process of its own. */
  readonly isolate: boolean
  readonly dueAtMs: number
  readonly error?: string
  readonly detail?: ErrorDetail
  readonly answer?: ServiceAnswer
  /** Of a failed attempt. */
  readonly cause?: AttemptCause
  /** The store quarantines the event for these reasons in the same commit. */
  readonly quarantine?: readonly string[]
  /** With `quarantine`: the id of the schema check that failed, one of `NewEvent.unjudged`. */
  readonly judgement?: string
  /** With `dead`: routes the event that takes over the id, if one in conflict does. Absent: no event takes over the id. */
  readonly routes?: TypeRoutes
  /** The delivery has an order key: when it has ended, another one may be due. */
  readonly ordered?: true
  readonly startedAtMs: number
  readonly durationMs: number
}

/** The routes of one source's events by their type alone, as plain data. */
export interface TypeRoutes {
  readonly source: string
  /** Patterns of the types that the source takes. */
  readonly accepts: readonly string[]
  /** Handlers of the source's events, and patterns of the types that each takes. */
  readonly handlers: readonly { readonly name: string; readonly types: readonly string[] }[]
}
