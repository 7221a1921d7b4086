import { HoldfastError } from '../../domain/errors.ts'
import { MAX_NAME_LENGTH } from '../../domain/limits.ts'
import type { EventFilter } from '../../domain/store.ts'

/** Throws `invalid_request` for what is too long to look for, or holds a NUL: there a pattern of SQLite ends, and matches more. */
export function checkEventFilter({ q, type }: EventFilter): void {
  if (q !== undefined && q.length > MAX_NAME_LENGTH)
    throw new HoldfastError('invalid_request', `q must not be longer than ${MAX_NAME_LENGTH}`)
  if (q?.includes('\0')) throw new HoldfastError('invalid_request', 'q must not hold a NUL')
  if (type?.includes('*') && type.includes('\0'))
    throw new HoldfastError('invalid_request', 'a pattern of types must not hold a NUL')
}
