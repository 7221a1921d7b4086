import type { Clock } from '../domain/clock.ts'
import { STAT_SPANS, type StatStore } from '../domain/stat-store.ts'
import { DAY_HOURS, type DayNumbers, type HandlerDay, type ReadDay, type SourceDay } from '../domain/stats.ts'
import { HandlerNumbers, Numbers } from './numbers.ts'
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
  const sources = new Map<string, readonly Numbers[]>()
  for await (const row of statRows(store, { span: 'hour', sinceMs: firstMs, untilMs: nowMs + 1 })) {
    if (row.source === SERVICE) continue
    const hours = sources.get(row.source) ?? Array.from({ length: DAY_HOURS }, () => new Numbers())
    sources.set(row.source, hours)
    hours[(row.atMs - firstMs) / STAT_SPANS.hour]?.addText(row.numbers)
  }
  return {
    sources: new Map([...sources].map(([source, hours]) => [source, sourceDay(hours)])),
    handlers: handlerDays([...sources.values()]),
  }
}

function sourceDay(hours: readonly Numbers[]): SourceDay {
  const total = new Numbers()
  for (const hour of hours) total.add(hour)
  return { total: statNumbersOf(total), receivedHourly: hours.map(({ received }) => received) }
}

/** A handler may get events of several sources. */
function handlerDays(sources: readonly (readonly Numbers[])[]): ReadonlyMap<string, HandlerDay> {
  const handlers = new Map<string, readonly HandlerNumbers[]>()
  for (const hours of sources)
    for (const [at, { handlers: ofHour }] of hours.entries())
      for (const [handler, numbers] of ofHour) {
        const all = handlers.get(handler) ?? Array.from({ length: DAY_HOURS }, () => new HandlerNumbers())
        handlers.set(handler, all)
        all[at]?.add(numbers)
      }
  return new Map([...handlers].map(([handler, hours]) => [handler, handlerDay(hours)]))
}

function handlerDay(hours: readonly HandlerNumbers[]): HandlerDay {
  const total = new HandlerNumbers()
  for (const hour of hours) total.add(hour)
  return {
    handled: total.handled,
    failed: total.failed,
    times: timesOf(total.times),
    queue: timesOf(total.queue),
    handledHourly: hours.map(({ handled }) => handled),
    failedHourly: hours.map(({ failed }) => failed),
  }
}
