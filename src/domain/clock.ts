import { HoldfastError } from './errors.ts'

/** Milliseconds since the epoch. Injected into all code that depends on the time, so that tests need not wait. */
export type Clock = () => number

export const systemClock: Clock = Date.now

export const toIso = (ms: number): string => new Date(ms).toISOString()

/** Whether a promise resolves within the time. Rejects if the promise rejects within the time. */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => resolve(false), Math.max(0, ms))
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: HOUR_MS, d: DAY_MS }

/** Milliseconds from a duration such as `90s`, `15m`, `2h` or `7d`; undefined from anything else. */
export function durationMs(text: string): number | undefined {
  const [, amount, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  return amount === undefined ? undefined : Number(amount) * (UNIT_MS[unit] ?? 0)
}

/** The latest time that a `Date` can hold. */
export const MAX_TIME_MS = 8.64e15

/** A clock that has jumped is trusted again once it has run steadily for this time. */
const STEADY_MS = DAY_MS
/** The most that a clock may be off before it counts as doubted. */
export const MAX_TOLERANCE_MS = DAY_MS
/** How much two clocks, or one clock before and after it was set, may differ. Times that lie ahead by at most this are not corrected. */
export const AHEAD_TOLERANCE_MS = 60_000
/** The most events whose time of receipt is corrected by the look that trusts the clock again; `RetentionStore.prune` corrects the others. */
export const MAX_REDATED = 2_000
/** A clock with an earlier time is wrong, because this release was made later. After a dead battery a clock begins in 1970. */
const OLDEST_MS = Date.UTC(2025, 0, 1)

/**
 * What a store remembers about its clock from one look to the next. Work that deletes data uses this record, because one reading of
 * the clock may be wrong, and deleted data cannot be restored.
 *
 * ```
 *             a time not explained: more than the tolerance, ahead or back
 *   trusted ──────────────────────────────────────────────────────────────→ doubted ──┐ another jump:
 *      ↑                                                                     │    ↑   │ the day begins anew
 *      └───── the clock shows an explained time again, has run ──────────────┘    └───┘
 *             steadily for a day, or an operator confirms it
 * ```
 */
export interface ClockRecord {
  /** When the clock was last trusted (ms since the epoch). */
  readonly knownAtMs: number
  /** The time of the clock at the last look (ms since the epoch). */
  readonly lookedAtMs: number
  /** How long the clock has run steadily since it jumped, while some process was running; undefined: the clock is trusted. */
  readonly steadyMs: number | undefined
}

export interface ClockLook {
  /** How long the looking process has run since its last look, by a monotonic clock; 0 at its first look. */
  readonly ranMs: number
  /** How far the clock may be from the expected time: a service that was stopped for at most this time goes on as before. */
  readonly toleranceMs: number
  /** Present if an operator confirms the clock: the time of the clock that the operator saw (ms since the epoch). */
  readonly confirmedMs?: number
}

/** The record before the first look. `newestMs`: the time of the newest event in the store, if there is any. */
export const firstRecord = (nowMs: number, newestMs: number | undefined): ClockRecord => ({
  knownAtMs: newestMs ?? nowMs,
  lookedAtMs: newestMs ?? nowMs,
  steadyMs: undefined,
})

/**
 * The time by which deadlines are judged when the clock says `nowMs`. While the clock is doubted, or if it has jumped since the last
 * look, this is when the clock was last trusted. `record` is undefined if the clock is not watched.
 */
export function deadlineTime(record: ClockRecord | undefined, nowMs: number): number {
  if (record === undefined) return nowMs
  const isDoubted = record.steadyMs !== undefined || nowMs > record.lookedAtMs + MAX_TOLERANCE_MS
  return isDoubted ? Math.min(nowMs, record.knownAtMs) : nowMs
}

/**
 * The beginning of something with a duration when the clock says `nowMs`. If the clock is behind, the end would lie in the past as
 * soon as the clock is set right; so the beginning then is when the clock was last trusted.
 */
export function beginningTime(record: ClockRecord | undefined, nowMs: number): number {
  return record !== undefined && nowMs < record.knownAtMs - MAX_TOLERANCE_MS ? record.knownAtMs : nowMs
}

/**
 * Finds events that a clock dated while it was behind. If the look that gave `after` trusts the clock again, these are the events
 * that were stored since the clock was last trusted and are dated before the result. Undefined: this look does not trust the clock
 * again, or the clock was ahead and not behind.
 */
export function misdatedBefore(before: ClockRecord, after: ClockRecord): number | undefined {
  const isBack = before.steadyMs !== undefined && after.steadyMs === undefined
  const beforeMs = before.knownAtMs - MAX_TOLERANCE_MS
  return isBack && after.knownAtMs >= beforeMs ? beforeMs : undefined
}

const trustedAt = (nowMs: number): ClockRecord => ({ knownAtMs: nowMs, lookedAtMs: nowMs, steadyMs: undefined })

/**
 * The record after a look at which the clock said `nowMs`. Throws `conflict` if an operator confirms a clock that is not doubted,
 * that has jumped since the operator saw it, or whose time is before this release.
 */
export function judgeClock(record: ClockRecord, nowMs: number, look: ClockLook): ClockRecord {
  const judged = judge(record, nowMs, look)
  if (look.confirmedMs === undefined) return judged
  const reason = confirmationFault(judged, look.confirmedMs)
  if (reason !== undefined) throw new HoldfastError('conflict', reason)
  return trustedAt(nowMs)
}

function confirmationFault({ lookedAtMs, steadyMs }: ClockRecord, confirmedMs: number): string | undefined {
  if (steadyMs === undefined) return 'retention is not held: the clock is trusted'
  if (lookedAtMs < OLDEST_MS) return `the clock says ${toIso(lookedAtMs)}, before this release was made: set the clock`
  if (Math.abs(lookedAtMs - confirmedMs) <= MAX_TOLERANCE_MS) return undefined
  return `the clock says ${toIso(lookedAtMs)}, not ${toIso(confirmedMs)}, the time that you confirm`
}

function judge(record: ClockRecord, nowMs: number, { ranMs, toleranceMs }: ClockLook): ClockRecord {
  const trusted = trustedAt(nowMs)
  const isPossible = nowMs >= OLDEST_MS
  const jumpMs = nowMs - record.knownAtMs
  const explainedMs = ranMs + (record.steadyMs ?? 0)
  if (isPossible && jumpMs >= -toleranceMs && jumpMs <= explainedMs + toleranceMs) return trusted
  const stepMs = nowMs - record.lookedAtMs
  // A steady clock may step ahead by more than the tolerance: with a short retention the tolerance is less than a night, and the
  // service may have been stopped overnight. It may step back only a little, when it is adjusted.
  const isSteady = record.steadyMs !== undefined && stepMs >= -AHEAD_TOLERANCE_MS && stepMs <= ranMs + MAX_TOLERANCE_MS
  const steadyMs = isSteady ? Math.max(0, (record.steadyMs ?? 0) + Math.min(stepMs, ranMs)) : 0
  return isPossible && steadyMs >= STEADY_MS ? trusted : { ...record, lookedAtMs: nowMs, steadyMs }
}
