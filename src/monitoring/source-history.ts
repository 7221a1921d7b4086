import { STAT_SPANS, type StatRow, type StatStore } from '../domain/stat-store.ts'
import { MinuteMask, Numbers } from './numbers.ts'
import { statRows } from './read-stats.ts'
import { type Requests, SIGNATURE_REASONS, type SignatureReason } from './refusals.ts'
import { type Activity, LEARNED_MINUTES } from './rhythm.ts'
import { SERVICE } from './stats-recorder.ts'

export const MINUTE_MS = STAT_SPANS.minute
const MINUTES = /"minutes":\[(\d+),(\d+)\]/

export const minuteOf = (ms: number): number => Math.floor(ms / MINUTE_MS)

/** The minutes of an hour's row that `Numbers.minutes` names (minutes since the epoch), read without the rest of the row. */
export function minutesOf({ atMs, numbers }: StatRow): readonly number[] {
  const [, low, high] = MINUTES.exec(numbers) ?? []
  if (low === undefined) return []
  return new MinuteMask(Number(low), Number(high)).minutes().map((minute) => minuteOf(atMs) + minute)
}

/** What is learned from: the activity of each source, and the minutes in which the service ran. */
export interface History {
  readonly ran: Set<number>
  readonly of: (source: string) => Activity
}

/** Reads the hours of the last weeks. */
export async function readHistory(store: Pick<StatStore, 'statRows'>, nowMs: number): Promise<History> {
  const untilMinute = minuteOf(nowMs)
  const fromMinute = untilMinute - LEARNED_MINUTES
  const ran = new Set<number>()
  const bySource = new Map<string, Set<number>>()
  const query = { span: 'hour', sinceMs: fromMinute * MINUTE_MS - STAT_SPANS.hour, untilMs: nowMs } as const
  for await (const row of statRows(store, query)) {
    const minutes = row.source === SERVICE ? ran : (bySource.get(row.source) ?? new Set())
    if (row.source !== SERVICE) bySource.set(row.source, minutes)
    for (const minute of minutesOf(row)) minutes.add(minute)
  }
  const arrayOf = (minutes: Iterable<number>): Uint8Array => {
    const array = new Uint8Array(LEARNED_MINUTES)
    for (const minute of minutes) if (minute >= fromMinute && minute < untilMinute) array[minute - fromMinute] = 1
    return array
  }
  const ranArray = arrayOf(ran)
  return { ran, of: (source) => ({ fromMinute, active: arrayOf(bySource.get(source) ?? []), ran: ranArray }) }
}

/** What came of each source in each period of these rows, in order of time. */
export function requestsOf(rows: Iterable<StatRow>): ReadonlyMap<string, readonly Requests[]> {
  const bySource = new Map<string, Map<number, Numbers>>()
  for (const { source, atMs, numbers } of rows) {
    if (source === SERVICE) continue
    const byTime = bySource.get(source) ?? new Map<number, Numbers>()
    bySource.set(source, byTime)
    const sum = byTime.get(atMs) ?? new Numbers()
    byTime.set(atMs, sum)
    sum.addText(numbers)
  }
  return new Map(
    [...bySource].map(([source, byTime]) => [
      source,
      [...byTime].toSorted(([a], [b]) => a - b).map(([atMs, numbers]) => requestsIn(minuteOf(atMs), numbers)),
    ]),
  )
}

const requestsIn = (minute: number, { ack, refused }: Numbers): Requests => ({
  minute,
  good: ack.count,
  refused: new Map(
    SIGNATURE_REASONS.flatMap((reason): [SignatureReason, number][] => {
      const n = refused.get(reason)
      return n === undefined ? [] : [[reason, n]]
    }),
  ),
})
