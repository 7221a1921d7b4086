import { HoldfastError } from './errors.ts'

/** Milliseconds since the epoch. Injected wherever time decides something, so that tests need not wait. */
export type Clock = () => number

export const systemClock: Clock = Date.now

export const toIso = (ms: number): string => new Date(ms).toISOString()

/** Whether a promise resolves within the time. Rejects if the promise does so within the time. */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => resolve(false), Math.max(0, ms))
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

const DAY_MS = 86_400_000
/** A clock that has jumped is believed once the service has run on steadily with it for so long. */
export const STEADY_MS = DAY_MS
/** The most that a clock may be off without being doubted. */
export const MAX_TOLERANCE_MS = DAY_MS
/** Two clocks, or one before and after it was set, may differ by so much: what lies no further ahead is left alone. */
export const AHEAD_TOLERANCE_MS = 60_000
/** Events that the look which finds the clock back looks at, to date them anew; of later ones `RetentionStore.prune` takes care. */
export const MAX_REDATED = 2_000
/** No clock is right that says an earlier time: this release was made later. A dead battery has clocks begin in 1970. */
const OLDEST_MS = Date.UTC(2025, 0, 1)

/**
 * What a store keeps of its clock from one look to the next. Destructive work asks it: what one clock says alone may be a
 * clock's error, and what was deleted by it is gone.
 *
 * ```
 *             a time not explained: more than the tolerance, ahead or back
 *   trusted ──────────────────────────────────────────────────────────────→ doubted ──┐ another jump:
 *      ↑                                                                     │    ↑   │ the day begins anew
 *      └───── the clock is back where it is explained, has run on ───────────┘    └───┘
 *             steadily for a day, or an operator vouches for it
 * ```
 */
export interface ClockRecord {
  /** The last time at which the clock was trusted (ms since the epoch). */
  readonly knownAtMs: number
  /** What the clock said at the last look (ms since the epoch). */
  readonly lookedAtMs: number
  /** How long the clock has run on steadily since it jumped, as far as some process saw it run; undefined: it is trusted. */
  readonly steadyMs: number | undefined
}

export interface ClockLook {
  /** How long the process that looks has run since it last looked, by a clock that nobody sets; 0 at its first look. */
  readonly ranMs: number
  /** How far the clock may be from where it is explained: a service that was off for so long goes on as if it had not been. */
  readonly toleranceMs: number
  /** An operator vouches for the clock, which said this (ms since the epoch). */
  readonly vouchedMs?: number
}

/** What is known of a clock before the first look. `newestMs` is the time of what the store took in last, if anything. */
export const firstRecord = (nowMs: number, newestMs: number | undefined): ClockRecord => ({
  knownAtMs: newestMs ?? nowMs,
  lookedAtMs: newestMs ?? nowMs,
  steadyMs: undefined,
})

/**
 * The time by which deadlines are judged where the clock says `nowMs`: while it is doubted, or has jumped since the last look, that
 * of the last look at which it was trusted. `record` is undefined where nobody looks.
 */
export function deadlineTime(record: ClockRecord | undefined, nowMs: number): number {
  if (record === undefined) return nowMs
  const isDoubted = record.steadyMs !== undefined || nowMs > record.lookedAtMs + MAX_TOLERANCE_MS
  return isDoubted ? Math.min(nowMs, record.knownAtMs) : nowMs
}

/**
 * When something begins that is to last, where the clock says `nowMs`. One that is behind what is known would have its end lie in
 * the past as soon as it is set right: then it is the time at which the clock was last trusted.
 */
export function beginningTime(record: ClockRecord | undefined, nowMs: number): number {
  return record !== undefined && nowMs < record.knownAtMs - MAX_TOLERANCE_MS ? record.knownAtMs : nowMs
}

/**
 * Where the look that gave `after` finds the clock trusted again: what was stored since it was last trusted, and is dated before this
 * time, was dated by a clock that was behind. Undefined: the clock that was trusted before was ahead of this one.
 */
export function misdatedBefore(before: ClockRecord, after: ClockRecord): number | undefined {
  const isBack = before.steadyMs !== undefined && after.steadyMs === undefined
  const beforeMs = before.knownAtMs - MAX_TOLERANCE_MS
  return isBack && after.knownAtMs >= beforeMs ? beforeMs : undefined
}

const trustedAt = (nowMs: number): ClockRecord => ({ knownAtMs: nowMs, lookedAtMs: nowMs, steadyMs: undefined })

/**
 * The record after a look at which the clock said `nowMs`. Throws `conflict` where an operator vouches for a clock that is not
 * doubted, that has jumped since it said what he saw, or that no word can make right.
 */
export function judgeClock(record: ClockRecord, nowMs: number, look: ClockLook): ClockRecord {
  const judged = judge(record, nowMs, look)
  if (look.vouchedMs === undefined) return judged
  const reason = whyNotVouched(judged, look.vouchedMs)
  if (reason !== undefined) throw new HoldfastError('conflict', reason)
  return trustedAt(nowMs)
}

function whyNotVouched({ lookedAtMs, steadyMs }: ClockRecord, vouchedMs: number): string | undefined {
  if (steadyMs === undefined) return 'retention is not held: the clock is trusted'
  if (lookedAtMs < OLDEST_MS) return `the clock says ${toIso(lookedAtMs)}, when there was no such release: set it`
  if (Math.abs(lookedAtMs - vouchedMs) <= MAX_TOLERANCE_MS) return undefined
  return `the clock says ${toIso(lookedAtMs)}, and not ${toIso(vouchedMs)}, which you vouch for`
}

function judge(record: ClockRecord, nowMs: number, { ranMs, toleranceMs }: ClockLook): ClockRecord {
  const trusted = trustedAt(nowMs)
  const isOfThisAge = nowMs >= OLDEST_MS
  const jumpMs = nowMs - record.knownAtMs
  const explainedMs = ranMs + (record.steadyMs ?? 0)
  if (isOfThisAge && jumpMs >= -toleranceMs && jumpMs <= explainedMs + toleranceMs) return trusted
  const stepMs = nowMs - record.lookedAtMs
  // Where retention is short, the tolerance is less than the night for which a service may be off. Back, a clock is only adjusted.
  const isSteady = record.steadyMs !== undefined && stepMs >= -AHEAD_TOLERANCE_MS && stepMs <= ranMs + MAX_TOLERANCE_MS
  const steadyMs = isSteady ? Math.max(0, (record.steadyMs ?? 0) + Math.min(stepMs, ranMs)) : 0
  return isOfThisAge && steadyMs >= STEADY_MS ? trusted : { ...record, lookedAtMs: nowMs, steadyMs }
}
