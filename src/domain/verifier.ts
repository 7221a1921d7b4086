import type { Headers } from './event.ts'

export interface SignedRequest {
  readonly headers: Headers
  /** The bytes as they came. */
  readonly body: Buffer
  /** The query string without its `?`. */
  readonly query: string
}

/** `aheadMs`: how far the sender's clock is ahead of this service's; negative: behind. Absent: the scheme has no timestamp. */
export type Verification = { readonly ok: true; readonly aheadMs?: number } | VerificationFailure

/**
 * `missing`: a signature, id or timestamp that the scheme needs is not there; `malformed`: one does not have the scheme's
 * form; `mismatch`: no secret verifies the request; `unreadable`: the secret stands in a body that cannot be parsed;
 * `stale`: genuine, but outside the time window. The sender is told none of these.
 */
export type VerificationFailure =
  | { readonly ok: false; readonly reason: 'missing' | 'malformed' | 'mismatch' | 'unreadable' }
  | { readonly ok: false; readonly reason: 'stale'; readonly aheadMs: number }

/** A signature scheme, compiled for one source. Both functions are pure, compare in constant time and never throw. */
export interface Verifier {
  readonly verify: (request: SignedRequest, nowMs: number) => Verification
  /**
   * What headers and query tell before the body is read: that the request cannot verify, and why; or that it has all that
   * the scheme needs. Undefined: the proof stands in the body.
   */
  readonly precheck: (request: Omit<SignedRequest, 'body'>) => Verification | undefined
}
