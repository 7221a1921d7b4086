import { type Clock, DAY_MS } from '../domain/clock.ts'
import { HoldfastError } from '../domain/errors.ts'
import { STAT_SPANS, type StatQuery, type StatRow, type StatStore } from '../domain/stat-store.ts'
import {
  HOURS_KEPT_DAYS,
  MAX_STAT_POINTS,
  MINUTES_KEPT_DAYS,
  type ReadStats,
  type StatNumbers,
  type StatsReport,
  type StatsRequest,
  type StatTimes,
} from '../domain/stats.ts'
import type { Histogram } from './histogram.ts'
import { Numbers } from './numbers.ts'
import { SERVICE } from './stats-recorder.ts'

/** The period of an answer without `since`. */
const DEFAULT_PERIOD_MS = DAY_MS
/** The steps from which one is chosen, and how many steps the answer then has at most. */
const STEPS_SECONDS = [60, 300, 900, 3_600, 10_800, 21_600, 43_200, 86_400]
const CHOSEN_POINTS = 300
const MINUTE_SECONDS = 60
const HOUR_SECONDS = 3_600
/** Rows that are read at once, so that the main thread is never busy with them for long. */
const READ_ROWS = { minute: 500, hour: 500, handlers: 20 } as const

/** Reads the numbers of a period, merged over all processes, by steps that begin at multiples of their length (UTC). */
export const createReadStats =
  (store: Pick<StatStore, 'statRows'>, clock: Clock): ReadStats =>
  async (request) => {
    const period = periodOf(request, clock())
    return reportOf(period, await readSteps(store, period, request.source))
  }

/** Whole steps, from the first until the end of the last. */
interface StepPeriod {
  readonly sinceMs: number
  readonly untilMs: number
  readonly stepMs: number
}

/** The numbers of each step, by its beginning, of one source or of all. */
export async function readSteps(
  store: Pick<StatStore, 'statRows'>,
  { stepMs, ...period }: StepPeriod,
  source?: string,
): Promise<Map<number, Numbers>> {
  const steps = new Map<number, Numbers>()
  const span = stepMs % STAT_SPANS.hour === 0 ? 'hour' : 'minute'
  for await (const row of statRows(store, { ...period, span, ...(source !== undefined && { source }) })) {
    if (row.source === SERVICE) continue
    const atMs = beginningOf(row.atMs, stepMs)
    const numbers = steps.get(atMs) ?? new Numbers()
    steps.set(atMs, numbers)
    numbers.addText(row.numbers)
  }
  return steps
}

export function reportOf({ stepMs, ...period }: StepPeriod, steps: ReadonlyMap<number, Numbers>): StatsReport {
  const total = new Numbers()
  for (const numbers of steps.values()) total.add(numbers)
  const points = [...steps].map(([atMs, numbers]) => ({ atMs, ...statNumbersOf(numbers) }))
  return { ...period, stepSeconds: stepMs / 1000, total: statNumbersOf(total), points }
}

/** All rows of a query, read page by page. */
export async function* statRows(
  store: Pick<StatStore, 'statRows'>,
  query: Omit<StatQuery, 'after' | 'limit'>,
): AsyncGenerator<StatRow> {
  const limit = READ_ROWS[query.span]
  for (let after: StatRow | undefined; ; ) {
    const rows = await store.statRows({ ...query, limit, ...(after !== undefined && { after }) })
    yield* rows
    after = rows.at(-1)
    if (rows.length < limit) return
  }
}

export function periodOf({ sinceMs, untilMs, stepSeconds }: StatsRequest, nowMs: number): StepPeriod {
  const until = untilMs ?? nowMs
  const since = sinceMs ?? until - DEFAULT_PERIOD_MS
  if (since >= until) throw new HoldfastError('invalid_request', 'since is not before until')
  if (until - since > HOURS_KEPT_DAYS * DAY_MS)
    throw new HoldfastError('invalid_request', `the period is longer than the ${HOURS_KEPT_DAYS} days that are kept`)
  if (stepSeconds !== undefined && (stepSeconds < MINUTE_SECONDS || stepSeconds % MINUTE_SECONDS !== 0))
    throw new HoldfastError('invalid_request', 'step is not a whole number of minutes')
  const chosen =
    stepSeconds ?? STEPS_SECONDS.find((each) => until - since <= each * 1000 * CHOSEN_POINTS) ?? HOUR_SECONDS
  // Older numbers are kept by the hour, and a step must consist of whole hours if it is longer than one.
  const isByHour = chosen > HOUR_SECONDS || since < nowMs - MINUTES_KEPT_DAYS * DAY_MS
  const stepMs = 1000 * (isByHour ? Math.ceil(chosen / HOUR_SECONDS) * HOUR_SECONDS : chosen)
  const first = beginningOf(since, stepMs)
  const end = beginningOf(until + stepMs - 1, stepMs)
  if ((end - first) / stepMs > MAX_STAT_POINTS)
    throw new HoldfastError(
      'invalid_request',
      `the answer would have more than ${MAX_STAT_POINTS} steps: ask for a longer step`,
    )
  return { sinceMs: first, untilMs: end, stepMs }
}

export const beginningOf = (ms: number, stepMs: number): number => Math.floor(ms / stepMs) * stepMs

export const statNumbersOf = (numbers: Numbers): StatNumbers => ({
  received: numbers.received,
  duplicates: numbers.duplicates,
  refused: numbers.refused,
  handled: numbers.handled,
  failed: numbers.failed,
  dead: numbers.dead,
  recovered: numbers.recovered,
  quarantined: numbers.quarantined,
  expired: numbers.expired,
  ack: timesOf(numbers.ack),
  handler: timesOf(numbers.handler),
  queue: timesOf(numbers.queue),
})

export function timesOf(histogram: Histogram): StatTimes {
  const ms = (seconds: number | undefined) => (seconds === undefined ? undefined : seconds * 1000)
  return {
    count: histogram.count,
    meanMs: ms(histogram.meanSeconds()),
    p50Ms: ms(histogram.quantileSeconds(0.5)),
    p99Ms: ms(histogram.quantileSeconds(0.99)),
  }
}
