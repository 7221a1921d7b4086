import { type ErrorCode, HoldfastError, isHoldfastError, messageOf } from '../../domain/errors.ts'

/** The result codes that Holdfast handles in different ways. Source: https://www.sqlite.org/rescode.html */
export const SQLITE_BUSY = 5
const SQLITE_READONLY = 8
const SQLITE_IOERR = 10
export const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_CANTOPEN = 14
const SQLITE_NOTADB = 26
const SQLITE_NOMEM = 7
/** A row that was changed or deleted was missing in an index. */
export const SQLITE_CORRUPT_INDEX = 779
const SQLITE_IOERR_FSYNC = 1034
const SQLITE_IOERR_DIR_FSYNC = 1290

/** The extended result code of an error that SQLite raised; undefined for any other. */
export function extendedCode(error: unknown): number | undefined {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined
  return typeof code === 'number' ? code : undefined
}

export function primaryCode(error: unknown): number | undefined {
  const code = extendedCode(error)
  return code === undefined ? undefined : code & 0xff
}

/**
 * After a failed fsync it is unknown what is on disk, and another fsync may report success falsely: the store cannot go on.
 * Source: "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
 */
export function isFatal(error: unknown): boolean {
  const code = extendedCode(error)
  return code === SQLITE_IOERR_FSYNC || code === SQLITE_IOERR_DIR_FSYNC
}

/** Whether the cause is the disk or the database and not the operation: the same operation may succeed later. */
export function isEnvironmental(error: unknown): boolean {
  const code = primaryCode(error)
  return code !== undefined && ENVIRONMENTAL.has(code)
}

export const isCorruption = (error: unknown): boolean => {
  const code = primaryCode(error)
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB
}

const ENVIRONMENTAL: ReadonlySet<number> = new Set([
  SQLITE_BUSY,
  SQLITE_NOMEM,
  SQLITE_READONLY,
  SQLITE_IOERR,
  SQLITE_CORRUPT,
  SQLITE_FULL,
  SQLITE_CANTOPEN,
  SQLITE_NOTADB,
])

/** The result of `read`; undefined if it meets a damaged page. */
export function unlessDamaged<Result>(read: () => Result): Result | undefined {
  try {
    return read()
  } catch (error) {
    if (isCorruption(error)) return undefined
    throw error
  }
}

/** The store cannot be opened until an operator acts; the message is one sentence. */
export class StoreRefused extends Error {
  override readonly name = 'StoreRefused'
}

/** An error as it is sent to another thread, where its class would be lost. */
export interface WireError {
  readonly error: ErrorCode
  readonly message: string
  /** A page of the database is damaged. */
  readonly isDamage?: boolean
}

/** The answer to a batch or a call. */
export type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failed: WireError }

export const errorOf = ({ error, message }: WireError): HoldfastError => new HoldfastError(error, message)

export const wireErrorOf = (error: unknown): WireError => ({
  ...(isCorruption(error instanceof Error ? (error.cause ?? error) : error) && { isDamage: true }),
  error: isHoldfastError(error) ? error.code : isEnvironmental(error) ? 'unavailable' : 'invalid_request',
  message: isCorruption(error) ? `the database is damaged: ${messageOf(error)}` : messageOf(error),
})
