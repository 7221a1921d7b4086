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
export type Verdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: 'missing' | 'malformed' | 'mismatch' | 'stale' | 'unreadable' }

/** Pure but for the time it is given. Takes constant time in what it compares; never throws. */
export type Verifier = (request: SignedRequest, nowMs: number) => Verdict
