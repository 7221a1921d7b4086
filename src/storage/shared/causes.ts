import type { AttemptCause } from '../../domain/cause.ts'
import {
  type DeadCause,
  type DeadCauseFilter,
  type DeadPosition,
  HOURS_SHOWN,
  MAX_COUNTED,
  type NameCauses,
} from '../../domain/dead-letters.ts'
import type { ErrorDetail } from '../../domain/errors.ts'
import { NO_ATTEMPT_LEFT } from './deliveries.ts'

/** A dead delivery that has no cause yet. `source` is NULL if its event cannot be read, `detail` if there is none of this error. */
export type UnnamedRow = Readonly<{
  key: number
  due_at: number
  handler: string
  source: string | null
  error: string | null
  detail: string | null
}>

export function unnamedCause(
  { handler, source, error, detail }: UnnamedRow,
  causeOf: NameCauses['causeOf'],
): AttemptCause {
  const parsed = detail === null ? undefined : (JSON.parse(detail) as Partial<ErrorDetail>)
  const known = parsed?.name === undefined ? undefined : (parsed as ErrorDetail)
  return { ...causeOf(error ?? NO_ATTEMPT_LEFT, known), handler, source: source ?? '' }
}

export function lastUnnamed(rows: readonly UnnamedRow[], limit: number): DeadPosition | undefined {
  const last = rows.length < limit ? undefined : rows.at(-1)
  return last && { diedAtMs: last.due_at, key: last.key }
}

export const AFTER_ALL: DeadPosition = { diedAtMs: Number.MAX_SAFE_INTEGER, key: Number.MAX_SAFE_INTEGER }

export type CauseRow = Readonly<{
  key: number
  id: string
  handler: string
  source: string
  signature: string
  at: string | null
}>

/** Deaths of one cause in one hour of those shown, counted from the first; -1: before them. */
export type HourRow = Readonly<{ hour: number; n: number }>

export const HOUR_MS = 3_600_000
/** The begin of the hours that are shown. */
export const hoursFrom = (nowMs: number): number => nowMs - HOURS_SHOWN * HOUR_MS

/** An expression: the hour of a death, as in `HourRow`. */
export const hourOf = (dueAt: string, from: string): string =>
  `CASE WHEN ${dueAt} < ${from} THEN -1 ELSE (${dueAt} - ${from}) / ${HOUR_MS} END`

export function deadCauseOf(
  { id, handler, source, signature, at }: CauseRow,
  { first, last }: { readonly first: number; readonly last: number },
  hours: readonly HourRow[],
): DeadCause {
  const hourly = Array.from({ length: HOURS_SHOWN }, () => 0)
  let count = 0
  for (const { hour, n } of hours) {
    count += n
    // A death that a clock dated ahead counts for the present hour.
    if (hour >= 0) hourly[Math.min(hour, HOURS_SHOWN - 1)] = (hourly[Math.min(hour, HOURS_SHOWN - 1)] ?? 0) + n
  }
  return {
    id,
    signature,
    ...(at !== null && { at }),
    handler,
    source,
    count: Math.min(count, MAX_COUNTED),
    isCapped: count > MAX_COUNTED,
    firstAtMs: first,
    lastAtMs: last,
    hourly,
  }
}

export const mostFirst = (causes: readonly DeadCause[]): readonly DeadCause[] =>
  causes.toSorted((a, b) => b.count - a.count || b.lastAtMs - a.lastAtMs)

/** Whether deliveries without a cause may be meant. */
export const meansUnnamed = ({ handler, source, cause }: DeadCauseFilter): boolean =>
  handler === undefined && source === undefined && cause === undefined
