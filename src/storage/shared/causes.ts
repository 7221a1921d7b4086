import { type AttemptCause, OTHER_CAUSES } from '../../domain/cause.ts'
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

const HOUR_MS = 3_600_000

/** The hours that are shown, from the first to the present one, which includes deaths that a clock has dated ahead. */
export const hoursUntil = (nowMs: number): readonly { readonly fromMs: number; readonly toMs: number }[] =>
  Array.from({ length: HOURS_SHOWN }, (_, at) => {
    const fromMs = nowMs - (HOURS_SHOWN - at) * HOUR_MS
    return { fromMs, toMs: at === HOURS_SHOWN - 1 ? Number.MAX_SAFE_INTEGER : fromMs + HOUR_MS }
  })

/** `count`: one more than `MAX_COUNTED` if there are so many. */
export const deadCauseOf = (
  { id, handler, source, signature, at }: CauseRow,
  { first, last, count }: { readonly first: number; readonly last: number; readonly count: number },
  hourly: readonly number[],
): DeadCause => ({
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
})

/** Those that stand for many errors come last. */
export const mostFirst = (causes: readonly DeadCause[]): readonly DeadCause[] =>
  causes.toSorted(
    (a, b) =>
      Number(a.id === OTHER_CAUSES.id) - Number(b.id === OTHER_CAUSES.id) ||
      b.count - a.count ||
      b.lastAtMs - a.lastAtMs,
  )

/** Whether deliveries without a cause may be meant. */
export const meansUnnamed = ({ handler, source, cause }: DeadCauseFilter): boolean =>
  handler === undefined && source === undefined && cause === undefined
