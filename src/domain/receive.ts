import type { Headers } from './event.ts'
import type { Source } from './source.ts'
import type { VerificationFailure } from './verifier.ts'

/** One request to a source, whole. */
export interface Incoming {
  readonly source: Source
  readonly headers: Headers
  readonly body: Buffer
  /** The query string without its `?`. */
  readonly query: string
  /** For logs. */
  readonly requestId: string
}

/** What is told of a request that nothing proves authentic. */
export type Unproven =
  | { readonly outcome: 'signature_missing' | 'signature_malformed' | 'signature_mismatch' | 'malformed' }
  /** `aheadMs`: by how much the sender's time is ahead of ours; negative: behind. */
  | { readonly outcome: 'timestamp_stale'; readonly aheadMs: number }

/** What the provider is to be told; see `http/problems.ts` for the statuses. */
export type Received =
  | {
      readonly outcome: 'accepted' | 'unhandled' | 'quarantined' | 'duplicate' | 'conflict' | 'superseded'
      readonly uid: string
    }
  | Unproven
  | { readonly outcome: 'unavailable' }

/** The door: resolves with a uid only after the event is on disk. Never rejects for what was sent. */
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
