import pg from 'pg'
import { HoldfastError, messageOf } from '../../domain/errors.ts'

/** SQLSTATEs that the PostgreSQL store acts on. Source: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const SERIALIZATION_FAILURE = '40001'
export const DEADLOCK_DETECTED = '40P01'
const CHECK_VIOLATION = '23514'
const READ_ONLY_TRANSACTION = '25006'
export const UNDEFINED_TABLE = '42P01'
export const QUERY_CANCELED = '57014'
export const LOCK_NOT_AVAILABLE = '55P03'
const DATA_CORRUPTED = 'XX001'
const INDEX_CORRUPTED = 'XX002'
export const OBJECT_NOT_IN_PREREQUISITE_STATE = '55000'

/** The SQLSTATE of an error that the server sent, or the code of a connection error. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}

export const isOfServer = (error: unknown): boolean => error instanceof pg.DatabaseError

/** The transaction changed nothing, and may succeed if it is tried again at once. */
export const isRetryable = (error: unknown): boolean =>
  isOfServer(error) && [SERIALIZATION_FAILURE, DEADLOCK_DETECTED].includes(codeOf(error) ?? '')

/** A row belongs to a day that has no partition yet. */
export const lacksPartition = (error: unknown): boolean => isOfServer(error) && codeOf(error) === CHECK_VIOLATION

/**
 * The values are at fault, and would be with any server: data exceptions, violated constraints, program limits. After any other
 * error the same statement may succeed later.
 */
const isOfData = (error: unknown): boolean =>
  isOfServer(error) && /^(?:22|23|54)/.test(codeOf(error) ?? '') && !lacksPartition(error)

/** The server cannot read a page, an index entry or a part of a long value. */
export function isDamage(error: unknown): boolean {
  const cause = error instanceof HoldfastError ? error.cause : error
  return isOfServer(cause) && [DATA_CORRUPTED, INDEX_CORRUPTED].includes(codeOf(cause) ?? '')
}

/** The server may not be the primary (any longer), which is the only one that takes writes. */
export const isReadOnly = (error: unknown): boolean => codeOf(error) === READ_ONLY_TRANSACTION

/** The error for the caller. Neither the message of a server error nor that of a refused connection holds credentials. */
export function errorFor(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error
  const code = isOfData(error) ? 'invalid_request' : 'unavailable'
  const about = codeOf(error)
  const message = messageOf(error)
  return new HoldfastError(code, about === undefined || message.includes(about) ? message : `${message} (${about})`, {
    cause: error,
  })
}

/** The result of a statement, or `fallback` if the statement meets a damaged page. */
export async function unlessDamaged<Result>(running: Promise<Result>, fallback: Result): Promise<Result> {
  try {
    return await running
  } catch (error) {
    if (!isDamage(error)) throw error
    return fallback
  }
}
