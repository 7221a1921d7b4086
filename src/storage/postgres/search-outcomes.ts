import type { EventFilter } from '../../domain/event-filter.ts'
import { eventKeyOf, firstDeliveryKey } from '../shared/deliveries.ts'
import { EVENT_COLUMNS, type EventRow } from '../shared/events.ts'
import { type Condition, MAX_DELIVERIES_READ, type PageRows, type Position } from '../shared/list-pages.ts'
import { drivenIn, END_OF_KEYS, MAX_RANGE_READ, OUTCOME_DRIVERS } from '../shared/outcomes.ts'
import { type Connections, select, type Value } from './connections.ts'
import { checkedRowByRow, timeRange } from './event-conditions.ts'

/** Lists the events of an outcome that deliveries lead to, those that arrived last first. */
export function createSearchOutcomes(connections: Connections) {
  return async (filter: EventFilter, { key: before }: Position, limit: number): Promise<PageRows<EventRow>> => {
    const driver = filter.outcome && OUTCOME_DRIVERS[filter.outcome]
    if (driver === undefined) throw new Error('no delivery leads to such events')
    const range = await keysInTime(filter)
    const last = Math.min(before, range.last + 1)
    const end = await lowest(driver.index === undefined ? [] : [[driver.condition]], last)
    const first = firstDeliveryKey(Math.max(end?.key ?? 0, range.first))
    const rows = await select<EventRow>(
      connections,
      `SELECT ${EVENT_COLUMNS} FROM delivery AS d JOIN event ON event.key = d.key / 1024`,
      [...drivenIn<Value>(driver, first, firstDeliveryKey(last)), ...timeRange(filter), ...checkedRowByRow(filter)],
      'ORDER BY d.key DESC LIMIT ?',
      [limit],
    )
    return { rows, end: end !== undefined && end.key > range.first ? end : undefined }
  }

  /** The keys between which all events of the filter's range of time are, if these are few. */
  async function keysInTime({ sinceMs, untilMs }: EventFilter): Promise<{ first: number; last: number }> {
    const all = { first: 0, last: END_OF_KEYS - 1 }
    if (sinceMs === undefined && untilMs === undefined) return all
    const [found] = await select<{ first: number; last: number; n: number }>(
      connections,
      'SELECT min(key) AS first, max(key) AS last, count(*) AS n FROM (SELECT key FROM event',
      timeRange({ ...(sinceMs !== undefined && { sinceMs }), ...(untilMs !== undefined && { untilMs }) }),
      'LIMIT ?) AS ranged',
      [MAX_RANGE_READ + 1],
    )
    if (found === undefined || found.n > MAX_RANGE_READ) return all
    return found.n === 0 ? { first: 1, last: 0 } : found
  }

  /** The event of the last delivery that may be read; undefined if all may. */
  async function lowest(driven: readonly Condition<Value>[], before: number): Promise<Position | undefined> {
    const [row] = await select<{ key: number }>(
      connections,
      'SELECT d.key FROM delivery AS d',
      [...driven, ['d.key < ?', firstDeliveryKey(before)]],
      'ORDER BY d.key DESC LIMIT 1 OFFSET ?',
      [MAX_DELIVERIES_READ - 1],
    )
    return row && { atMs: 0, key: eventKeyOf(row.key) }
  }
}
