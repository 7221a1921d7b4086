import { HoldfastError } from './errors.ts'
import type { EventStatus, Origin } from './event.ts'
import { MAX_NAME_LENGTH } from './limits.ts'
import type { EventOutcome } from './outcome.ts'
import { MAX_MATCHES, type PayloadMatch } from './payload-match.ts'

/** A filter that is absent does not filter. `since` is inclusive, `until` exclusive, both on the time of receipt. */
export interface EventFilter {
  readonly source?: string
  /** An event type, or a pattern with `*` and without NUL. */
  readonly type?: string
  readonly status?: EventStatus
  readonly outcome?: EventOutcome
  readonly origin?: Origin
  readonly task?: string
  readonly sinceMs?: number
  readonly untilMs?: number
  /** A substring of id, uid, type or task, without regard to case; at most 256 characters, none of them NUL. */
  readonly q?: string
  /** A text anywhere in the body or the headers, without regard to case; at most 256 characters. */
  readonly contains?: string
  /** Conditions on the payload, which all must hold. */
  readonly match?: readonly PayloadMatch[]
}

/** Throws `invalid_request` for a text that is too long, or contains a NUL: SQLite ends a pattern at a NUL, so it would match more. */
export function checkEventFilter({ q, type, contains, match = [] }: EventFilter): void {
  if (q !== undefined && q.length > MAX_NAME_LENGTH)
    throw new HoldfastError('invalid_request', `q must not be longer than ${MAX_NAME_LENGTH}`)
  if (q?.includes('\0')) throw new HoldfastError('invalid_request', 'q must not hold a NUL')
  if (contains !== undefined && (contains === '' || contains.length > MAX_NAME_LENGTH))
    throw new HoldfastError('invalid_request', `contains must have from 1 to ${MAX_NAME_LENGTH} characters`)
  if (match.length > MAX_MATCHES)
    throw new HoldfastError('invalid_request', `match must not be given more than ${MAX_MATCHES} times`)
  if (type?.includes('*') && type.includes('\0'))
    throw new HoldfastError('invalid_request', 'a pattern of types must not hold a NUL')
}
