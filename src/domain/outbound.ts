import type { Headers } from './event.ts'

/** The methods of requests to a provider's API. */
export const API_METHODS = ['GET', 'POST', 'PATCH', 'PUT', 'DELETE'] as const

/** A request to a provider's API, relative to its base URL. */
export interface ApiRequest {
  readonly method: (typeof API_METHODS)[number]
  /**
   * Begins with `/`; what stands in it from outside is escaped (`encodeURIComponent`). Goes after the base URL's own path
   * as it is; one with a segment `.` or `..`, escaped or not, is refused.
   */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as a form; a name may stand several times. */
  readonly form?: readonly (readonly [name: string, value: string])[]
}

/** A request that can be sent: its body is text already, made where the module's code runs. */
export interface ReadyRequest extends Omit<ApiRequest, 'json' | 'form'> {
  readonly jsonText?: string
  readonly formText?: string
}

/**
 * Why there is no answer:
 * - `unreachable`: no connection, or the call was not made at all, so that nothing was sent;
 * - `forbidden_address`: the name leads to an address that is not for the outside, or the path out of the base URL's
 *   (and nothing was sent);
 * - `timeout`, `broken`: it may have been received, or not;
 * - `too_large`: the answer is longer than its limit, and nothing of it could be kept.
 */
export type CallFailure = 'unreachable' | 'forbidden_address' | 'timeout' | 'broken' | 'too_large'

export type CallResult =
  | {
      readonly ok: true
      readonly status: number
      readonly headers: Headers
      /** The bytes as they came; the outline of a truncated answer, as JSON. */
      readonly body: Buffer
      /** The answer was longer. */
      readonly truncated?: { readonly limitBytes: number }
    }
  | {
      readonly ok: false
      readonly failure: CallFailure
      /** One sentence; never a key, never what the other side sent. */
      readonly message: string
    }

/** How much of an answer a caller wants. */
export interface AnswerOptions {
  /** Bytes of an answer that is kept whole; the limit of all calls unless this is lower. */
  readonly maxBytes?: number
  /**
   * The body of a longer answer is its outline: an object with the short values of its first levels, and with
   * `holdfast: {truncated: true, limit_bytes, size_bytes?, omitted}`. Otherwise it is `too_large`.
   */
  readonly outline?: boolean
  /** The answer's memory is given back when this is disposed; unless given, when the call is over. */
  readonly hold?: DisposableStack
}

/**
 * Calls the API of one source's provider with its key. Follows no redirect; bounded in time and size. Never rejects.
 */
export type CallProvider = (request: ReadyRequest, signal?: AbortSignal, options?: AnswerOptions) => Promise<CallResult>
