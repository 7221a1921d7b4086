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
