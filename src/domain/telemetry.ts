import { EVENT_STATUSES } from './event.ts'
import type { CallFailure } from './outbound.ts'
import type { Received } from './receive.ts'
import type { ResolvedBy } from './task.ts'

/** The outcome of one request to a source: a label value of `holdfast_requests_total`. The set is closed. */
export type RequestOutcome =
  | Received['outcome']
  | 'unknown_source'
  | 'method_not_allowed'
  | 'timeout'
  | 'too_large'
  | 'unsupported_media_type'
  | 'expectation_failed'
  | 'insecure'
  | 'error'

/** The outcome of one poll of a task: a label value of `holdfast_polls_total`. The set is closed. */
export type PollOutcome =
  /** The task has ended. */
  | 'terminal'
  /** The task has ended, but the answer is too long to be stored whole. */
  | 'truncated'
  | 'pending'
  /** The answer ends the task, but the task has ended before the answer could be stored. */
  | 'late'
  /** 404 or 410. */
  | 'not_found'
  /** 429. */
  | 'rate_limited'
  /** 401 or 403: the provider refuses the key, or access to this task. */
  | 'unauthorized'
  /** 5xx. */
  | 'server_error'
  /** Any other answer that does not say anything about the task. */
  | 'invalid'
  | CallFailure

const acknowledged: ReadonlySet<RequestOutcome> = new Set([...EVENT_STATUSES, 'duplicate'])

export const isAcknowledged = (outcome: RequestOutcome): boolean => acknowledged.has(outcome)

/**
 * Told of everything that the service counts: for the metrics (`app/telemetry.ts`), and for the numbers over time
 * (`monitoring/stats-recorder.ts`). No call throws or waits.
 */
export interface Telemetry {
  /** `source` is undefined if the source is not configured. */
  request(source: string | undefined, outcome: RequestOutcome): void
  /** `seconds`: from the arrival of the request to the commit after which it is acknowledged. */
  acknowledged(source: string, seconds: number): void
  /** An event was stored, with any status: also conflicts, superseded and quarantined events, but not duplicates. */
  received(source: string, type: string): void
  unhandled(source: string): void
  processed(source: string, type: string, handler: string, seconds: number): void
  /** An attempt failed. */
  failed(source: string, type: string, handler: string, seconds: number): void
  /** An attempt has started and was not released. `seconds`: since the delivery was due. */
  started(source: string, handler: string, seconds: number): void
  /** A delivery is dead after its last attempt. */
  dead(source: string, type: string, handler: string): void
  polled(source: string, outcome: PollOutcome): void
  taskResolved(source: string, by: ResolvedBy): void
  /** A path in the payloads of a type has changed. */
  drifted(source: string, type: string): void
}

/** Tells both of them. Called several times for each event. */
export const toBoth = (one: Telemetry, other: Telemetry): Telemetry => ({
  request(source, outcome) {
    one.request(source, outcome)
    other.request(source, outcome)
  },
  acknowledged(source, seconds) {
    one.acknowledged(source, seconds)
    other.acknowledged(source, seconds)
  },
  received(source, type) {
    one.received(source, type)
    other.received(source, type)
  },
  unhandled(source) {
    one.unhandled(source)
    other.unhandled(source)
  },
  processed(source, type, handler, seconds) {
    one.processed(source, type, handler, seconds)
    other.processed(source, type, handler, seconds)
  },
  failed(source, type, handler, seconds) {
    one.failed(source, type, handler, seconds)
    other.failed(source, type, handler, seconds)
  },
  started(source, handler, seconds) {
    one.started(source, handler, seconds)
    other.started(source, handler, seconds)
  },
  dead(source, type, handler) {
    one.dead(source, type, handler)
    other.dead(source, type, handler)
  },
  polled(source, outcome) {
    one.polled(source, outcome)
    other.polled(source, outcome)
  },
  taskResolved(source, by) {
    one.taskResolved(source, by)
    other.taskResolved(source, by)
  },
  drifted(source, type) {
    one.drifted(source, type)
    other.drifted(source, type)
  },
})
