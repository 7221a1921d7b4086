import type { CallFailure, CallResult } from '../domain/outbound.ts'

/** A call got no answer. The message is one sentence of Holdfast's own, without text from the provider. */
export class CallFault extends Error {
  override readonly name = 'CallFault'
  readonly failure: CallFailure

  constructor(failure: CallFailure, message: string) {
    super(message)
    this.failure = failure
  }
}

/** The form of error codes of Node and undici. Any other text might quote the provider. */
const CODE = /^[A-Z][A-Z0-9_]{1,49}$/

/** ` (ECONNREFUSED)` for an error with such a code; otherwise an empty text. */
export function codeIn(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && CODE.test(code) ? ` (${code})` : ''
}

/** The result of a call during which `error` was thrown. */
export function failureOf(error: unknown): Exclude<CallResult, { ok: true }> {
  const { failure, message } = error instanceof CallFault ? error : faultOf(codeIn(error))
  return { ok: false, failure, message }
}

function faultOf(code: string): CallFault {
  switch (code) {
    case ' (UND_ERR_INVALID_ARG)':
    case ' (UND_ERR_NOT_SUPPORTED)':
      return new CallFault('unreachable', `The request cannot be sent as it is${code}.`)
    case ' (UND_ERR_HEADERS_OVERFLOW)':
      return new CallFault('too_large', `The answer's headers are too large${code}.`)
    default:
      return new CallFault('broken', `The connection broke before the whole answer had come${code}.`)
  }
}
