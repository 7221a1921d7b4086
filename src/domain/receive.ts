import type { EventStatus, Headers } from './event.ts'
import type { Source } from './source.ts'
import type { VerificationFailure } from './verifier.ts'

/** One complete request to a source. */
export interface Incoming {
  readonly source: Source
  readonly headers: Headers
  readonly body: Buffer
  /** The query string without its `?`. */
  readonly query: string
  /** The address that it came from, as trusted proxies name it. Absent: it is not known. */
  readonly receivedFrom?: string | undefined
  /** For logs. */
  readonly requestId: string
  /** The service has made and signed the request itself: it says nothing about the provider. Absent: the provider has. */
  readonly isSample?: boolean
}

/** The outcome of a request that is not proven authentic. */
export type Unproven =
  | { readonly outcome: 'signature_missing' | 'signature_malformed' | 'signature_mismatch' | 'malformed' }
  /** `aheadMs`: how far the sender's time is ahead of the service's clock; negative: behind. */
  | { readonly outcome: 'timestamp_stale'; readonly aheadMs: number }

/** The outcome of a request; `http/problems.ts` has the status for each. */
export type Received =
  | {
      readonly outcome: EventStatus | 'duplicate'
      readonly uid: string
    }
  | Unproven
  | { readonly outcome: 'unavailable' }

/** Receives a webhook. Resolves with a uid only after the event is on disk. Never rejects because of the request's content. */
export type Receive = (incoming: Incoming) => Promise<Received>

const UNPROVEN = {
  missing: 'signature_missing',
  malformed: 'signature_malformed',
  mismatch: 'signature_mismatch',
  unreadable: 'malformed',
} as const satisfies Record<Exclude<VerificationFailure['reason'], 'stale'>, Unproven['outcome']>

export const unproven = (failure: VerificationFailure): Unproven =>
  failure.reason === 'stale'
    ? { outcome: 'timestamp_stale', aheadMs: failure.aheadMs }
    : { outcome: UNPROVEN[failure.reason] }
