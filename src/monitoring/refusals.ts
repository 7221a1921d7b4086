import type { RequestOutcome } from '../domain/telemetry.ts'

/**
 * Tells from refused requests whether a source is refused altogether, as after its secret was changed at the provider. A scanner on
 * the internet sends bad requests, too: they matter only where nothing good comes, or hardly anything.
 */

/** The reasons that count: a request that does not prove who sent it. */
export const SIGNATURE_REASONS = [
  'signature_mismatch',
  'timestamp_stale',
  'signature_missing',
  'signature_malformed',
] as const satisfies readonly RequestOutcome[]
export type SignatureReason = (typeof SIGNATURE_REASONS)[number]

/** The reasons of a sender that signs. Scanners seldom do. */
const SIGNED: ReadonlySet<SignatureReason> = new Set(['signature_mismatch', 'timestamp_stale'])

/** The minutes, and the hours, that are looked at. */
export const REFUSAL_MINUTES = 10
export const REFUSAL_HOURS = 24

/** Signed requests that were refused since the last good one: many; or a few, if by the source's rhythm a good one is overdue. */
const MANY_SIGNED = 10
const FEW_SIGNED = 3
/** Requests that were refused since the last good one, signed or not. */
const MANY = 50
/** Nearly all: this many refused requests, and not more than this share of the good ones beside them. */
const MANY_BESIDE_GOOD = 20
const SHARE_OF_GOOD = 0.05
/** How much longer than usual a good request has not come when it is overdue. */
const OVERDUE_FACTOR = 3

/** What came in one minute or in one hour. */
export interface Requests {
  /** The minute, or the first minute of the hour (minutes since the epoch). */
  readonly minute: number
  readonly good: number
  readonly refused: ReadonlyMap<SignatureReason, number>
}

export interface RecentRequests {
  /** The last `REFUSAL_MINUTES`, in order. */
  readonly minutes: readonly Requests[]
  /** The last `REFUSAL_HOURS`, in order. */
  readonly hours: readonly Requests[]
  readonly nowMinute: number
  /** When the last good request came; undefined: never. */
  readonly lastGoodMinute: number | undefined
  /** The usual time between good requests, in minutes; undefined: not known. */
  readonly usualGap: number | undefined
}

export interface Refusal {
  readonly sinceMinute: number
  /** The most frequent reason. */
  readonly reason: SignatureReason
}

/** Undefined: the source is not refused, as far as is known. */
export function judgeRefusals(recent: RecentRequests): Refusal | undefined {
  const { minutes, hours, nowMinute, lastGoodMinute, usualGap } = recent
  const lastGood = lastGoodMinute ?? Number.NEGATIVE_INFINITY
  const since = minutes.filter(({ minute }) => minute > lastGood)
  const signed = countOf(since, (reason) => SIGNED.has(reason))
  const isOverdue =
    lastGoodMinute === undefined || (usualGap !== undefined && nowMinute - lastGood > OVERDUE_FACTOR * usualGap + 1)
  if (signed >= MANY_SIGNED || countOf(since) >= MANY || (signed >= FEW_SIGNED && isOverdue)) return refusalOf(since)
  const good = minutes.reduce((sum, each) => sum + each.good, 0)
  const refused = countOf(minutes)
  if (refused >= MANY_BESIDE_GOOD && good <= SHARE_OF_GOOD * refused) return refusalOf(minutes)
  // A provider that tries again ever later: a few times in ten minutes is more than it sends.
  const sinceHours = hours.filter(({ minute, refused: reasons }) => minute > lastGood && isSigned(reasons))
  return sinceHours.length > 1 && countOf(sinceHours, (reason) => SIGNED.has(reason)) >= FEW_SIGNED
    ? refusalOf(sinceHours)
    : undefined
}

const isSigned = (refused: ReadonlyMap<SignatureReason, number>): boolean =>
  [...refused.keys()].some((reason) => SIGNED.has(reason))

function countOf(all: readonly Requests[], counts: (reason: SignatureReason) => boolean = () => true): number {
  let count = 0
  for (const { refused } of all) for (const [reason, n] of refused) if (counts(reason)) count += n
  return count
}

function refusalOf(all: readonly Requests[]): Refusal | undefined {
  const first = all.find(({ refused }) => refused.size > 0)
  const reason = SIGNATURE_REASONS.toSorted(
    (a, b) => countOf(all, (each) => each === b) - countOf(all, (each) => each === a),
  )[0]
  return first === undefined || reason === undefined ? undefined : { sinceMinute: first.minute, reason }
}
