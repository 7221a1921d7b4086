import { HoldfastError } from './errors.ts'
import type { EventStatus, Origin } from './event.ts'
import { MAX_NAME_LENGTH } from './limits.ts'

/** A filter that is absent does not filter. `since` is inclusive, `until` exclusive, both on the time of receipt. */
export interface EventFilter {
  readonly source?: string
  /** An event type, or a pattern with `*` and without NUL. */
  readonly type?: string
  readonly status?: EventStatus
  readonly origin?: Origin
  readonly task?: string
  readonly sinceMs?: number
  readonly untilMs?: number
  /** A substring of id, uid, type or task, without regard to case; at most 256 characters, none of them NUL. */
  readonly q?: string
}

/** Throws `invalid_request` for a text that is too long, or contains a NUL: SQLite ends a pattern at a NUL, so it would match more. */
export function checkEventFilter({ q, type }: EventFilter): void {
  if (q !== undefined && q.length > MAX_NAME_LENGTH)
    throw new HoldfastError('invalid_request', `q must not be longer than ${MAX_NAME_LENGTH}`)
  if (q?.includes('\0')) throw new HoldfastError('invalid_request', 'q must not hold a NUL')
  if (type?.includes('*') && type.includes('\0'))
    throw new HoldfastError('invalid_request', 'a pattern of types must not hold a NUL')
}
