/**
 * Everything that can go wrong in a way a caller acts on. The HTTP listeners map each code to one status
 * (`http/problems.ts`); the command line prints the message.
 */
export type ErrorCode =
  /** The store cannot take it now: full, failing, overloaded or closing. The sender should try again. */
  | 'unavailable'
  | 'event_not_found'
  | 'handler_not_found'
  /** The stored bytes no longer match their checksum. */
  | 'body_corrupt'
  | 'invalid_request'
  /** The request contradicts the state that something is in. */
  | 'conflict'
  | 'unknown_source'
  | 'task_not_found'
  | 'registration_not_found'
  /** An `Idempotency-Key` came back with another request. */
  | 'idempotency_mismatch'
  /** The source is not configured for it: no key, no URL, or its provider has no such API. */
  | 'not_configured'
  /** The provider refused, or did not answer as it should. */
  | 'provider_failed'

export class HoldfastError extends Error {
  override readonly name = 'HoldfastError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export const isHoldfastError = (error: unknown, code?: ErrorCode): error is HoldfastError =>
  error instanceof HoldfastError && (code === undefined || error.code === code)

/**
 * The service cannot start as it is configured: every fault found, one sentence each, naming the variable or file.
 * Ends the process with exit code 78 (EX_CONFIG).
 */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(
      `${faults.length} configuration fault${faults.length === 1 ? '' : 's'}:\n${faults.map((f) => `  - ${f}`).join('\n')}`,
    )
    this.faults = faults
  }
}

/** What a thrown thing says, for a log or a list of faults; never its stack. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

/**
 * What was thrown, as plain data: bounded, without secrets. What is thrown need not be an error: then `name` is its type and
 * `message` what `util.inspect` shows of it.
 */
export interface ErrorDetail {
  readonly name: string
  readonly message: string
  /** Of system and library errors: `ECONNREFUSED`, `UND_ERR_CONNECT_TIMEOUT`, … */
  readonly code?: string
  /** Stack frames, innermost first; Node's own are left out. */
  readonly stack?: readonly string[]
  readonly cause?: ErrorDetail
  /** Of an `AggregateError`: its parts. */
  readonly errors?: readonly ErrorDetail[]
}

/** Causes of causes, and parts of parts, that are kept. */
export const MAX_ERROR_DEPTH = 4
