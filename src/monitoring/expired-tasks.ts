import { STAT_SPANS, type StatQuery, type StatStore } from '../domain/stat-store.ts'
import { Numbers } from './numbers.ts'
import { statRows } from './read-stats.ts'

/** Tasks of a source that ended at their deadline. */
export interface ExpiredTasks {
  readonly count: number
  /** When the last of them did, to the minute. */
  readonly lastAtMs: number
}

/** Those since a time, which begins an hour; undefined if there are none. */
export async function readExpiredTasks(
  store: Pick<StatStore, 'statRows'>,
  source: string,
  sinceMs: number,
  untilMs: number,
): Promise<ExpiredTasks | undefined> {
  const hours = await read(store, { span: 'hour', source, sinceMs, untilMs })
  if (hours.lastAtMs === undefined) return undefined
  const [fromMs, toMs] = [hours.lastAtMs, hours.lastAtMs + STAT_SPANS.hour]
  const minutes = await read(store, { span: 'minute', source, sinceMs: fromMs, untilMs: toMs })
  return { count: hours.count, lastAtMs: minutes.lastAtMs ?? fromMs }
}

async function read(store: Pick<StatStore, 'statRows'>, query: Omit<StatQuery, 'after' | 'limit'>) {
  let count = 0
  let lastAtMs: number | undefined
  for await (const { atMs, numbers } of statRows(store, query)) {
    const { expired } = Numbers.fromText(numbers)
    if (expired === 0) continue
    count += expired
    lastAtMs = Math.max(atMs, lastAtMs ?? atMs)
  }
  return { count, lastAtMs }
}
