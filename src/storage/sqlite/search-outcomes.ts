import type { SQLInputValue } from 'node:sqlite'
import type { EventFilter } from '../../domain/event-filter.ts'
import { eventKeyOf, firstDeliveryKey } from '../shared/deliveries.ts'
import { MAX_DELIVERIES_READ, type PageRows, type Position } from '../shared/list-pages.ts'
import { drivenIn, END_OF_KEYS, MAX_RANGE_READ, OUTCOME_DRIVERS } from '../shared/outcomes.ts'
import { IS_OPEN_IN_ORDER } from './delivery-order.ts'
import { checkedRowByRow, kindConditions, timeRange } from './event-conditions.ts'
import type { StatementCache } from './statement-cache.ts'

const TALLY_OPEN = "SELECT sum(n) AS n FROM tally WHERE state IN ('pending', 'running')"
/** Finds all deliveries that have not ended, without a walk over the others. */
const OPEN_BY_INDEX = `(
  SELECT * FROM delivery WHERE key IN (
    SELECT key FROM delivery INDEXED BY delivery_pending WHERE state = 'pending'
    UNION ALL SELECT key FROM delivery INDEXED BY delivery_running WHERE state = 'running'
    UNION ALL SELECT key FROM delivery INDEXED BY delivery_order WHERE ${IS_OPEN_IN_ORDER} AND state = 'blocked'
  )
) AS d`

/** Lists the events of an outcome that deliveries lead to, those that arrived last first. */
export function prepareSearchOutcomes(statements: StatementCache) {
  const fewOpen = (): boolean => Number(statements.all(TALLY_OPEN, [], '', [])[0]?.n) <= MAX_DELIVERIES_READ

  return (filter: EventFilter, { key: before }: Position, limit: number): PageRows<Position> => {
    const driver = filter.outcome && OUTCOME_DRIVERS[filter.outcome]
    if (driver === undefined) throw new Error('no delivery leads to such events')
    const range = keysInTime(filter)
    const from =
      driver.index !== undefined
        ? `delivery AS d INDEXED BY ${driver.index}`
        : fewOpen()
          ? OPEN_BY_INDEX
          : 'delivery AS d NOT INDEXED'
    const last = Math.min(before, range.last + 1)
    const end = lowest(from, driver.index === undefined ? '' : `${driver.condition} AND`, last)
    const first = firstDeliveryKey(Math.max(end?.key ?? 0, range.first))
    const rows = statements.all(
      `SELECT event.key FROM ${from} CROSS JOIN event ON event.key = d.key / 1024`,
      [
        ...drivenIn<SQLInputValue>(driver, first, firstDeliveryKey(last)),
        ...timeRange(filter),
        ...kindConditions(filter),
        ...checkedRowByRow(filter),
      ],
      'ORDER BY d.key DESC LIMIT ?',
      [limit],
    )
    return {
      rows: rows.map(({ key }) => ({ atMs: 0, key: Number(key) })),
      end: end !== undefined && end.key > range.first ? end : undefined,
    }
  }

  /** The keys between which all events of the filter's range of time are, if these are few. */
  function keysInTime({ sinceMs, untilMs }: EventFilter): { readonly first: number; readonly last: number } {
    const all = { first: 0, last: END_OF_KEYS - 1 }
    if (sinceMs === undefined && untilMs === undefined) return all
    const [found] = statements.all(
      'SELECT min(key) AS first, max(key) AS last, count(*) AS n FROM (SELECT key FROM event INDEXED BY event_by_time',
      timeRange({ ...(sinceMs !== undefined && { sinceMs }), ...(untilMs !== undefined && { untilMs }) }),
      'LIMIT ?)',
      [MAX_RANGE_READ + 1],
    )
    const n = Number(found?.n)
    if (n > MAX_RANGE_READ) return all
    return n === 0 ? { first: 1, last: 0 } : { first: Number(found?.first), last: Number(found?.last) }
  }

  /** The event of the last delivery that may be read; undefined if all may. */
  function lowest(from: string, condition: string, before: number): Position | undefined {
    const sql = `SELECT d.key FROM ${from} WHERE ${condition} d.key < ? ORDER BY d.key DESC LIMIT 1 OFFSET ?`
    const [row] = statements.all(sql, [], '', [firstDeliveryKey(before), MAX_DELIVERIES_READ - 1])
    return row && { atMs: 0, key: eventKeyOf(Number(row.key)) }
  }
}
