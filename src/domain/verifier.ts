import type { Headers } from './event.ts'

export interface SignedRequest {
  readonly headers: Headers
  /** The bytes as they came. */
  readonly body: Buffer
  /** The query string without its `?`. */
  readonly query: string
}

/**
 * `missing`: no signature, id or timestamp where one belongs; `malformed`: not of the scheme's form; `mismatch`: no
 * secret verifies it; `stale`: genuine, but outside the window. The sender is told none of these.
 * `unreadable`: the secret stands in a body that cannot be parsed.
 */
/** `aheadMs`: how far the sender's time lies before this service's; negative: behind. Absent: the scheme has none. */
export type Verdict = { readonly ok: true; readonly aheadMs?: number } | Refused

export type Refused =
  | { readonly ok: false; readonly reason: 'missing' | 'malformed' | 'mismatch' | 'unreadable' }
  | { readonly ok: false; readonly reason: 'stale'; readonly aheadMs: number }

/** Pure but for the time it is given. Takes constant time in what it compares; never throws. */
export type Verifier = (request: SignedRequest, nowMs: number) => Verdict

/**
 * What headers and query say before a byte of the body is read: that the request cannot verify, and why; that it has what
 * a signed one has; or, where the proof stands in the body, nothing.
 */
export type Precheck = (request: Omit<SignedRequest, 'body'>) => Verdict | undefined

/** A signature scheme, compiled for one source. */
export interface Signature {
  readonly verify: Verifier
  readonly precheck: Precheck
}
