import type { CallFailure, CallResult } from '../domain/outbound.ts'

/** A call that got no answer. Its message is a sentence of our own, and nothing else. */
export class CallFault extends Error {
  override readonly name = 'CallFault'
  readonly failure: CallFailure

  constructor(failure: CallFailure, message: string) {
    super(message)
    this.failure = failure
  }
}

/** Codes of Node and undici; anything else might quote the other side. */
const CODE = /^[A-Z][A-Z0-9_]{1,49}$/

/** ` (ECONNREFUSED)`, or nothing. */
export function codeIn(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && CODE.test(code) ? ` (${code})` : ''
}

/** What anything thrown during a call means to its caller. */
export function failureOf(error: unknown): CallResult {
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
