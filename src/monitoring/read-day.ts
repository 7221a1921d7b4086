import type { Clock } from '../domain/clock.ts'
import { STAT_SPANS, type StatRow, type StatStore } from '../domain/stat-store.ts'
import { DAY_HOURS, type DayNumbers, type HandlerDay, type ReadDay, type SourceDay } from '../domain/stats.ts'
import type { RequestOutcome } from '../domain/telemetry.ts'
import { HandlerNumbers, writtenHandlers } from './handler-numbers.ts'
import { Numbers } from './numbers.ts'
import { statNumbersOf, statRows, timesOf } from './read-stats.ts'
import { SERVICE } from './stats-recorder.ts'

/** How long after it was read an answer is given again: every page that is open asks for it. */
const FRESH_MS = 5_000

/** Reads the last hours of all sources and handlers at once, merged over all processes. */
export function createReadDay(
  store: Pick<StatStore, 'statRows'>,
  clock: Clock,
  monotonicMs: () => number = () => performance.now(),
): ReadDay {
  let last: { readonly day: Promise<DayNumbers>; goodUntilMs: number } | undefined
  return () => {
    if (last !== undefined && monotonicMs() < last.goodUntilMs) return last.day
    const mine = { day: readDay(store, clock()), goodUntilMs: Number.POSITIVE_INFINITY }
    last = mine
    mine.day.then(
      () => {
        mine.goodUntilMs = monotonicMs() + FRESH_MS
      },
      () => {
        if (last === mine) last = undefined
      },
    )
    return mine.day
  }
}

async function readDay(store: Pick<StatStore, 'statRows'>, nowMs: number): Promise<DayNumbers> {
  const firstMs = nowMs - (nowMs % STAT_SPANS.hour) - (DAY_HOURS - 1) * STAT_SPANS.hour
  const period = { sinceMs: firstMs, untilMs: nowMs + 1 }
  return { sources: await readSources(store, period), handlers: await readHandlers(store, period) }
}

interface Period {
  readonly sinceMs: number
  readonly untilMs: number
}

const hourOf = ({ atMs }: StatRow, { sinceMs }: Period): number => (atMs - sinceMs) / STAT_SPANS.hour

async function readSources(store: Pick<StatStore, 'statRows'>, period: Period): Promise<DayNumbers['sources']> {
  const sources = new Map<string, readonly Numbers[]>()
  for await (const row of statRows(store, { span: 'hour', ...period })) {
    if (row.source === SERVICE) continue
    const hours = sources.get(row.source) ?? Array.from({ length: DAY_HOURS }, () => new Numbers())
    sources.set(row.source, hours)
    hours[hourOf(row, period)]?.addText(row.numbers)
  }
  return new Map([...sources].map(([source, hours]) => [source, sourceDay(hours, period.sinceMs)]))
}

function sourceDay(hours: readonly Numbers[], firstMs: number): SourceDay {
  const total = new Numbers()
  const refusedLastMs = new Map<RequestOutcome, number>()
  for (const [at, hour] of hours.entries()) {
    total.add(hour)
    for (const reason of hour.refused.keys()) refusedLastMs.set(reason, firstMs + at * STAT_SPANS.hour)
  }
  return { total: statNumbersOf(total), receivedHourly: hours.map(({ received }) => received), refusedLastMs }
}

interface HandlerSums {
  readonly total: HandlerNumbers
  readonly handledHourly: number[]
  readonly failedHourly: number[]
}

/** A handler may get events of several sources. */
async function readHandlers(store: Pick<StatStore, 'statRows'>, period: Period): Promise<DayNumbers['handlers']> {
  const handlers = new Map<string, HandlerSums>()
  for await (const row of statRows(store, { span: 'handlers', ...period })) {
    const hour = hourOf(row, period)
    for (const [handler, written] of writtenHandlers(row.numbers)) {
      const sums = handlers.get(handler) ?? newSums()
      handlers.set(handler, sums)
      const [handled, failed] = written
      sums.total.addWritten(written)
      sums.handledHourly[hour] = (sums.handledHourly[hour] ?? 0) + handled
      sums.failedHourly[hour] = (sums.failedHourly[hour] ?? 0) + failed
    }
  }
  return new Map([...handlers].map(([handler, sums]) => [handler, handlerDay(sums)]))
}

const newSums = (): HandlerSums => ({
  total: new HandlerNumbers(),
  handledHourly: Array.from({ length: DAY_HOURS }, () => 0),
  failedHourly: Array.from({ length: DAY_HOURS }, () => 0),
})

const handlerDay = ({ total, ...hourly }: HandlerSums): HandlerDay => ({
  handled: total.handled,
  failed: total.failed,
  times: timesOf(total.times),
  queue: timesOf(total.queue),
  ...hourly,
})
