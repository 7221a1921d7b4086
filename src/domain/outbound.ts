import type { Headers } from './event.ts'

/** The methods of requests to a provider's API. */
export const API_METHODS = ['GET', 'POST', 'PATCH', 'PUT', 'DELETE'] as const

/** A request to a provider's API, relative to its base URL. */
export interface ApiRequest {
  readonly method: (typeof API_METHODS)[number]
  /**
   * Begins with `/`. The module escapes every value that it puts into the path (`encodeURIComponent`). Holdfast appends the path
   * unchanged to the base URL's own path, and refuses a path with a segment `.` or `..`, escaped or not.
   */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as a form; a name may occur several times. */
  readonly form?: readonly (readonly [name: string, value: string])[]
}

/** A request whose body is text already, so that it can be sent. The text is made in the thread of the module's code. */
export interface ReadyRequest extends Omit<ApiRequest, 'json' | 'form'> {
  readonly jsonText?: string
  readonly formText?: string
}

/**
 * Why there is no answer:
 * - `unreachable`: there was no connection, or the call was not made; nothing was sent;
 * - `forbidden_address`: the host's address is not public, or the request's path could leave the base URL's path; nothing was sent;
 * - `timeout`, `broken`: the provider may have received the request or not;
 * - `too_large`: the answer is longer than its limit, and its outline could not be kept.
 */
export type CallFailure = 'unreachable' | 'forbidden_address' | 'timeout' | 'broken' | 'too_large'

export type CallResult =
  | {
      readonly ok: true
      readonly status: number
      readonly headers: Headers
      /** The exact bytes that were received; of a truncated answer its outline, as JSON. */
      readonly body: Buffer
      /** Present if the answer was longer than this limit. */
      readonly truncated?: { readonly limitBytes: number }
    }
  | {
      readonly ok: false
      readonly failure: CallFailure
      /** One sentence, without keys and without any text from the provider. */
      readonly message: string
    }

/** How much of an answer the caller of a provider wants. */
export interface AnswerOptions {
  /** Bytes of the longest answer that is kept whole; a value above the limit of all calls has no effect. */
  readonly maxBytes?: number
  /**
   * True: of a longer answer, gives the outline as its body: an object with the short values of the first levels, and with
   * `holdfast: {truncated: true, limit_bytes, size_bytes?, omitted}`. False: a longer answer fails as `too_large`.
   */
  readonly outline?: boolean
  /** The answer counts against the memory for answers until this is disposed. Absent: until the call is over. */
  readonly hold?: DisposableStack
}

/**
 * Calls the API of one source's provider with the source's key. Follows no redirect; bounded in time and size. Never rejects.
 */
export type CallProvider = (request: ReadyRequest, signal?: AbortSignal, options?: AnswerOptions) => Promise<CallResult>
