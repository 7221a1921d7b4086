/** What became of one request to a source. Label values of `holdfast_requests_total`; the set is closed. */
export type RequestOutcome =
  | 'accepted'
  | 'unhandled'
  | 'quarantined'
  | 'duplicate'
  | 'conflict'
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
  | 'insecure'
  | 'unavailable'
  | 'error'

/** Where the rooms report what they did. `metrics.ts` counts it; no call throws or waits. */
export interface Telemetry {
  /** `source` undefined: none that is configured. */
  request(source: string | undefined, outcome: RequestOutcome): void
  /** From the request's arrival to the commit that let it be acknowledged. */
  acknowledged(source: string, seconds: number): void
  /** An event was kept; neither duplicates nor conflicts. */
  received(source: string, type: string): void
  unhandled(source: string): void
  processed(source: string, type: string, handler: string, seconds: number): void
  /** An attempt failed, or (with no handler and no time) an event was quarantined. */
  failed(source: string, type: string, handler: string, seconds: number | undefined): void
}
