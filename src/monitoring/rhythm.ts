/**
 * How long a source is usually silent, learned from the minutes in which its webhooks came.
 *
 * A night or a weekend is no silence of a source that never sends then. So silences are measured in the source's own time: an hour
 * counts as much as that hour of the week usually has webhooks. What is compared is the own time of the present silence with that of
 * the silences in the weeks before; each of these is measured by the other weeks, since an hour of the same week would always fit.
 */

const HOUR = 60
const DAY = 24 * HOUR
const WEEK = 7 * DAY
const HOURS_OF_WEEK = 168

/** How much of the past is learned from, in minutes. */
export const LEARNED_MINUTES = 4 * WEEK
/** With fewer gaps between webhooks, or a shorter past, there is no rhythm. */
const MIN_GAPS = 8
const MIN_PAST = 2 * DAY
/** With a shorter past, all time counts: a day does not tell what a week is like. */
const MIN_PAST_OF_WEEKS = 2 * WEEK
/** In that time, a source that never paused longer than this is taken for one that has no nights, and so no weekends. */
const LONGEST_PAUSE_WITHOUT_NIGHTS = 2 * HOUR
/** For every other source a silence then has to outlast a weekend. */
const LONGER_THAN_A_WEEKEND = 3 * DAY

/** A silence is unusual if it is this much longer than the longest one before, and longer still if only few were seen. */
const FACTOR = 1.5
const FACTOR_OF_FEW = 4
/** No shorter silence is unusual. */
const MIN_LIMIT = 10
/** A silence that is so much longer than all others was an outage, and is not learned; with so many gaps at least. */
const OUTAGE_FACTOR = 4
const MIN_GAPS_TO_TELL_OUTAGES = 100

/** The past of one source, minute by minute. */
export interface Activity {
  /** The first minute (minutes since the epoch). */
  readonly fromMinute: number
  /** 1 for a minute in which an authentic webhook came. */
  readonly active: Uint8Array
  /** 1 for a minute in which the service could receive: in all others, the source was not silent. As long as `active`. */
  readonly ran: Uint8Array
}

export interface Rhythm {
  /** Half of the gaps between webhooks are not longer, in minutes; undefined: there were none. */
  readonly usualGap: number | undefined
  /** A longer silence, in minutes of the source's own time, is unusual; undefined: there is no rhythm yet. */
  readonly limit: number | undefined
  /** How much of each hour of the week (from Thursday 0:00 UTC, as the epoch began) counts, from 0 to 1. */
  readonly weights: readonly number[]
}

export const NO_RHYTHM: Rhythm = { usualGap: undefined, limit: undefined, weights: [] }

/** The own time of a source in the minutes after one and before another in which the service ran. */
export function ownTime(
  { weights }: Rhythm,
  ran: (minute: number) => boolean,
  afterMinute: number,
  beforeMinute: number,
): number {
  let minutes = 0
  for (let minute = afterMinute + 1; minute < beforeMinute; minute++)
    if (ran(minute)) minutes += weights[hourOfWeek(minute)] ?? 0
  return minutes
}

export function learnRhythm(activity: Activity): Rhythm {
  const { active } = activity
  const places = Array.from(active.keys()).filter((at) => active[at] === 1)
  const gaps = places.slice(1).map((to, at) => ({ from: places[at] ?? 0, to }))
  const [first] = places
  if (first === undefined || gaps.length === 0) return NO_RHYTHM
  const lengths = gaps.map(({ from, to }) => to - from).toSorted((a, b) => a - b)
  const usualGap = lengths[Math.floor((lengths.length - 1) / 2)]
  const past = active.length - first
  if (gaps.length < MIN_GAPS || past < MIN_PAST) return { ...NO_RHYTHM, usualGap }
  if (past < MIN_PAST_OF_WEEKS) return { ...allTime(activity, gaps), usualGap }
  return { ...weekly(activity, gaps, first), usualGap }
}

interface Gap {
  readonly from: number
  readonly to: number
}

type Learned = Pick<Rhythm, 'limit' | 'weights'>

function allTime({ ran }: Activity, gaps: readonly Gap[]): Learned {
  const sums = prefixSums(ran.length, (at) => ran[at] ?? 0)
  const silences = gaps.map((gap) => between(sums, gap))
  const limit = limitOf(silences)
  const hasNights = Math.max(...silences) > LONGEST_PAUSE_WITHOUT_NIGHTS
  return {
    limit: hasNights ? Math.max(limit, LONGER_THAN_A_WEEKEND) : limit,
    weights: Array.from({ length: HOURS_OF_WEEK }, () => 1),
  }
}

function weekly(activity: Activity, gaps: readonly Gap[], first: number): Learned {
  const weeks = weeksOf(activity, first)
  const plain = measured(activity, gaps, weeks, (weights) => weights)
  // Of a source that is dense in its hours, a shift of an hour (summer time) would be a long silence: its first and last hours count less.
  if (plain.limit === undefined || plain.limit >= HOUR) return plain
  const cautious = measured(activity, gaps, weeks, withoutEdges)
  return sum(cautious.weights) * 2 < sum(plain.weights) ? plain : cautious
}

function measured(
  { fromMinute, ran }: Activity,
  gaps: readonly Gap[],
  weeks: readonly Week[],
  adjusted: (weights: readonly number[]) => readonly number[],
): Learned {
  const byOthers = weeks.map((own) => adjusted(weightsOf(weeks.filter((week) => week !== own))))
  const sums = prefixSums(ran.length, (at) =>
    ran[at] === 1 ? (byOthers[weekOf(at, ran.length)]?.[hourOfWeek(fromMinute + at)] ?? 0) : 0,
  )
  return { limit: limitOf(gaps.map((gap) => between(sums, gap))), weights: adjusted(weightsOf(weeks)) }
}

/** What is known of each hour of one week: undefined if the service did not run, or the source was not there yet. */
type Week = readonly (boolean | undefined)[]

/** Weeks are counted back from the end. */
const weekOf = (at: number, length: number): number => Math.floor((length - 1 - at) / WEEK)

function weeksOf({ fromMinute, active, ran }: Activity, first: number): readonly Week[] {
  const weeks: (boolean | undefined)[][] = []
  for (let at = first; at < active.length; at++) {
    if (ran[at] !== 1 && active[at] !== 1) continue
    const number = weekOf(at, active.length)
    const week = (weeks[number] ??= Array.from({ length: HOURS_OF_WEEK }, () => undefined))
    const hour = hourOfWeek(fromMinute + at)
    week[hour] = week[hour] === true || active[at] === 1
  }
  return Array.from(weeks, (week) => week ?? [])
}

/** In which share of these weeks each hour had a webhook. */
const weightsOf = (weeks: readonly Week[]): readonly number[] =>
  Array.from({ length: HOURS_OF_WEEK }, (_, hour) => {
    const seen = weeks.flatMap((week) => week[hour] ?? [])
    const known = weeks.filter((week) => week[hour] !== undefined).length
    return known === 0 ? 0 : seen.filter((isActive) => isActive).length / known
  })

const withoutEdges = (weights: readonly number[]): readonly number[] =>
  weights.map((weight, hour) =>
    Math.min(
      weight,
      weights[(hour + 1) % HOURS_OF_WEEK] ?? 0,
      weights[(hour + HOURS_OF_WEEK - 1) % HOURS_OF_WEEK] ?? 0,
    ),
  )

function limitOf(silences: readonly number[]): number {
  const [longest = 0, second = 0] = silences.toSorted((a, b) => b - a)
  const wasOutage = silences.length >= MIN_GAPS_TO_TELL_OUTAGES && longest > OUTAGE_FACTOR * Math.max(second, MIN_LIMIT)
  const factor = FACTOR + FACTOR_OF_FEW / silences.length
  return Math.max(MIN_LIMIT, factor * (wasOutage ? second : longest))
}

const hourOfWeek = (minute: number): number => Math.floor(minute / HOUR) % HOURS_OF_WEEK

/** `sums[n]` is the sum of the first `n` values. */
function prefixSums(length: number, value: (at: number) => number): Float64Array {
  const sums = new Float64Array(length + 1)
  for (let at = 0; at < length; at++) sums[at + 1] = (sums[at] ?? 0) + value(at)
  return sums
}

/** The sum of what lies between the two ends of a gap. */
const between = (sums: Float64Array, { from, to }: Gap): number => (sums[to] ?? 0) - (sums[from + 1] ?? 0)

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
