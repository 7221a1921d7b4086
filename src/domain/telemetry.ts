import type { CallFailure } from './outbound.ts'
import type { ResolvedBy } from './task.ts'

/** What became of one request to a source. Label values of `holdfast_requests_total`; the set is closed. */
export type RequestOutcome =
  | 'accepted'
  | 'unhandled'
  | 'quarantined'
  | 'duplicate'
  | 'conflict'
  | 'superseded'
  /** 401, by reason. */
  | 'signature_missing'
  | 'signature_malformed'
  | 'signature_mismatch'
  | 'timestamp_stale'
  | 'malformed'
  | 'unknown_source'
  | 'method_not_allowed'
  | 'timeout'
  | 'too_large'
  | 'unsupported_media_type'
  | 'expectation_failed'
  | 'insecure'
  | 'unavailable'
  | 'error'

/** What became of asking a provider for one task. Label values of `holdfast_polls_total`; the set is closed. */
export type PollOutcome =
  /** It told the end. */
  | 'terminal'
  /** It told the end, in an answer too long to be kept whole. */
  | 'truncated'
  | 'pending'
  /** It told the end, but the task had ended meanwhile. */
  | 'late'
  /** 404 or 410. */
  | 'not_found'
  /** 429. */
  | 'rate_limited'
  /** 401 or 403: the key is refused, or this task. */
  | 'unauthorized'
  /** 5xx. */
  | 'server_error'
  /** Any other answer that says nothing of the task. */
  | 'invalid'
  | CallFailure

/** Where the rooms report what they did. `metrics.ts` counts it; no call throws or waits. */
export interface Telemetry {
  /** `source` undefined: none that is configured. */
  request(source: string | undefined, outcome: RequestOutcome): void
  /** From the request's arrival to the commit that let it be acknowledged. */
  acknowledged(source: string, seconds: number): void
  /** An event was kept, whatever became of it: conflicts, superseded and quarantined ones too, but no duplicate. */
  received(source: string, type: string): void
  unhandled(source: string): void
  processed(source: string, type: string, handler: string, seconds: number): void
  /** An attempt failed. */
  failed(source: string, type: string, handler: string, seconds: number): void
  polled(source: string, outcome: PollOutcome): void
  taskResolved(source: string, by: ResolvedBy): void
}
