/**
 * The errors that a caller can act on. The HTTP listeners map each code to one status
 * (`http/problems.ts`); the command line prints the message.
 */
export type ErrorCode =
  /** The service cannot do it now: its store is full, failing or closing, or the service is overloaded. The caller should try again. */
  | 'unavailable'
  | 'event_not_found'
  | 'handler_not_found'
  /** The stored bytes no longer match their checksum. */
  | 'body_corrupt'
  | 'invalid_request'
  /** The request contradicts the present state. */
  | 'conflict'
  | 'unknown_source'
  | 'task_not_found'
  | 'registration_not_found'
  | 'replay_not_found'
  /** An `Idempotency-Key` was used before with another request. */
  | 'idempotency_mismatch'
  /** The source is not configured for the request: no key, no URL, or its provider has no such API. */
  | 'not_configured'
  /** The provider refused the call, or its answer was not valid. */
  | 'provider_failed'
  /** As many readers follow the events already as may. */
  | 'too_many_readers'

export class HoldfastError extends Error {
  override readonly name = 'HoldfastError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

export const isHoldfastError = (error: unknown, code?: ErrorCode): error is HoldfastError =>
  error instanceof HoldfastError && (code === undefined || error.code === code)

/**
 * The service cannot start with its configuration. `faults`: one sentence for each fault, with the variable or file.
 * Ends the process with exit code 78 (EX_CONFIG).
 */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
  readonly faults: readonly string[]
  /** Some of the faults may be in modules: a change of their files may repair them. */
  readonly isOfModules: boolean

  constructor(faults: readonly string[], { isOfModules = false } = {}) {
    super(
      `${faults.length} configuration fault${faults.length === 1 ? '' : 's'}:\n${faults.map((f) => `  - ${f}`).join('\n')}`,
    )
    this.faults = faults
    this.isOfModules = isOfModules
  }
}

/** The exit code of a process that ends by a `ConfigurationError`. Source: sysexits.h, EX_CONFIG. */
export const EXIT_CONFIGURATION = 78

/** The message of a thrown value, for a log or a list of faults; never its stack. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

/**
 * A thrown value as plain data: bounded, without secrets. If the value is not an error, `name` is its type, and `message` is its form
 * by `util.inspect`.
 */
export interface ErrorDetail {
  readonly name: string
  readonly message: string
  /** The code of a system or library error: `ECONNREFUSED`, `UND_ERR_CONNECT_TIMEOUT`, … */
  readonly code?: string
  /** Stack frames, innermost first, without Node's own. */
  readonly stack?: readonly string[]
  readonly cause?: ErrorDetail
  /** The parts of an `AggregateError`. */
  readonly errors?: readonly ErrorDetail[]
}

/** How many levels of causes and parts are kept. */
export const MAX_ERROR_DEPTH = 4
