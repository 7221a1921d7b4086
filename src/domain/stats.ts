import type { RequestOutcome } from './telemetry.ts'

/** Times over a period; undefined where nothing was counted. Quantiles are at most 9 % off. */
export interface StatTimes {
  readonly count: number
  readonly meanMs: number | undefined
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
}

/** What happened in a period, of one source or of all. */
export interface StatNumbers {
  /** Events that were stored, of any status and origin. */
  readonly received: number
  readonly duplicates: number
  /** By reason. */
  readonly refused: ReadonlyMap<RequestOutcome, number>
  /** Attempts that succeeded, and those that failed. */
  readonly handled: number
  readonly failed: number
  readonly dead: number
  /** Tasks that ended by a poll. */
  readonly recovered: number
  /** Webhooks that were stored, but not understood. */
  readonly quarantined: number
  /** Tasks that ended at their deadline. */
  readonly expired: number
  readonly ack: StatTimes
  readonly handler: StatTimes
  readonly queue: StatTimes
}

export interface StatsRequest {
  readonly sinceMs?: number
  readonly untilMs?: number
  readonly stepSeconds?: number
  readonly source?: string
}

export interface StatsReport {
  /** The first and the last step are whole ones. */
  readonly sinceMs: number
  readonly untilMs: number
  /** May be longer than the requested one: old numbers are kept by the hour. */
  readonly stepSeconds: number
  readonly total: StatNumbers
  /** Steps in which nothing was counted are left out. */
  readonly points: readonly (StatNumbers & { readonly atMs: number })[]
}

/** The last hours in steps, the present step among them; the numbers are some seconds old. */
export type ReadRecentStats = (period: { readonly hours: number; readonly stepSeconds: number }) => Promise<StatsReport>

/** What one handler did in the last hours. */
export interface HandlerDay {
  readonly handled: number
  readonly failed: number
  /** The duration of attempts. */
  readonly times: StatTimes
  /** From the time at which a delivery was due to its start. */
  readonly queue: StatTimes
  /** Attempts that succeeded, and those that failed, in each hour, the last one last. */
  readonly handledHourly: readonly number[]
  readonly failedHourly: readonly number[]
}

/** What one source brought in the last hours. */
export interface SourceDay {
  readonly total: StatNumbers
  /** Events in each hour, the last one last. */
  readonly receivedHourly: readonly number[]
  /** The beginning of the last hour in which requests were refused, by reason. */
  readonly refusedLastMs: ReadonlyMap<RequestOutcome, number>
}

/** The last `DAY_HOURS` hours, by source and by handler. A name is missing if nothing was counted of it. */
export interface DayNumbers {
  readonly sources: ReadonlyMap<string, SourceDay>
  readonly handlers: ReadonlyMap<string, HandlerDay>
}

/** The present hour counts as one. */
export const DAY_HOURS = 24

/** The answer may be some seconds old. */
export type ReadDay = () => Promise<DayNumbers>

/** Rejects with `invalid_request`. */
export type ReadStats = (request: StatsRequest) => Promise<StatsReport>

/** How long numbers are kept by the minute, and how long by the hour. */
export const MINUTES_KEPT_DAYS = 2
export const HOURS_KEPT_DAYS = 90
/** The most steps of one answer. */
export const MAX_STAT_POINTS = 1_500
