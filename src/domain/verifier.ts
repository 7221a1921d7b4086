import type { Headers } from './event.ts'

export interface SignedRequest {
  readonly headers: Headers
  /** The exact bytes that were received. */
  readonly body: Buffer
  /** The query string without its `?`. */
  readonly query: string
}

/**
 * `secret`: the place of the secret that verified, from 1; of several the newest, since a provider may sign by the new and the old one
 * while it changes; absent from a `precheck`. `aheadMs`: how far the sender's
 * clock is ahead of this service's; negative: behind. Absent: the scheme has no timestamp.
 */
export type Verification =
  | { readonly ok: true; readonly secret?: number; readonly aheadMs?: number }
  | VerificationFailure

/**
 * Why a request is not authentic. `missing`: the request lacks a signature, id or timestamp that the scheme needs; `malformed`: one
 * of these does not have the scheme's form; `mismatch`: no secret verifies the request; `stale`: signed, but outside the time window.
 * The sender gets the same answer for these four. `unreadable`: the secret is in the body, which cannot be parsed.
 */
export type VerificationFailure =
  | { readonly ok: false; readonly reason: 'missing' | 'malformed' | 'mismatch' | 'unreadable' }
  | { readonly ok: false; readonly reason: 'stale'; readonly aheadMs: number }

/** A signature scheme, compiled for one source. Both functions are pure, compare in constant time and never throw. */
export interface Verifier {
  readonly verify: (request: SignedRequest, nowMs: number) => Verification
  /**
   * Checks headers and query before the body is read. A failure: the request cannot be authentic. Ok: the request has everything
   * that the scheme needs, and `verify` decides. Undefined: the scheme's secret is in the body.
   */
  readonly precheck: (request: Omit<SignedRequest, 'body'>) => Verification | undefined
}
