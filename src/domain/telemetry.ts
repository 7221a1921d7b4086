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
}

/** Tells each of them. */
export function toEach(...all: readonly Telemetry[]): Telemetry {
  return {
    request: (...args) => all.forEach((each) => each.request(...args)),
    acknowledged: (...args) => all.forEach((each) => each.acknowledged(...args)),
    received: (...args) => all.forEach((each) => each.received(...args)),
    unhandled: (...args) => all.forEach((each) => each.unhandled(...args)),
    processed: (...args) => all.forEach((each) => each.processed(...args)),
    failed: (...args) => all.forEach((each) => each.failed(...args)),
    started: (...args) => all.forEach((each) => each.started(...args)),
    dead: (...args) => all.forEach((each) => each.dead(...args)),
    polled: (...args) => all.forEach((each) => each.polled(...args)),
    taskResolved: (...args) => all.forEach((each) => each.taskResolved(...args)),
  }
}
