import type { EventSummary } from '../../domain/event.ts'
import { checkEventFilter, type EventFilter } from '../../domain/event-filter.ts'
import type { Page, PageRequest } from '../../domain/page.ts'
import { EVENT_COLUMNS, type EventRow, eventSummaryOf } from '../shared/events.ts'
import {
  type Condition,
  cutPage,
  likeContaining,
  likeMatching,
  MAX_EVENTS_READ,
  optional,
  type Position,
  startOf,
} from '../shared/list-pages.ts'
import { type Connections, select, type Value } from './connections.ts'
import { escapeText } from './escape-text.ts'

const NEWEST_FIRST = 'ORDER BY received_at DESC, key DESC'

/** Lists events, newest first. */
export function createSearchEvents(connections: Connections) {
  return async (filter: EventFilter, page: PageRequest): Promise<Page<EventSummary>> => {
    const start = startOf('events', page)
    checkEventFilter(filter)
    const range = [...timeRange(filter), ...after(start)]
    const checked = checkedRowByRow(filter)
    const end = isIndexed(filter) || checked.length === 0 ? undefined : await lowest(range)
    const conditions = [...range, ...(end === undefined ? [] : notBelow(end)), ...checked]
    const columns = `SELECT ${EVENT_COLUMNS} FROM event`
    const rows = await select<EventRow>(connections, columns, conditions, `${NEWEST_FIRST} LIMIT ?`, [page.limit + 1])
    const { shown, nextCursor } = cutPage('events', page, { rows, end }, positionOf)
    return { items: shown.map(eventSummaryOf), nextCursor }
  }

  /** The last event that may be read; undefined if all may. */
  async function lowest(range: readonly Condition<Value>[]): Promise<Position | undefined> {
    const [row] = await select<EventRow>(
      connections,
      'SELECT received_at, key FROM event',
      range,
      `${NEWEST_FIRST} LIMIT 1 OFFSET ?`,
      [MAX_EVENTS_READ - 1],
    )
    return row && positionOf(row)
  }
}

const positionOf = ({ received_at, key }: EventRow): Position => ({ atMs: received_at, key })

/**
 * Whether an index answers the filter: a task has few events, and an index gives the events of one source and type in order.
 */
const isIndexed = ({ task, source, type, status, origin, q }: EventFilter): boolean =>
  task !== undefined ||
  (source !== undefined &&
    type !== undefined &&
    !type.includes('*') &&
    status === undefined &&
    origin === undefined &&
    q === undefined)

const after = ({ atMs, key }: Position): readonly Condition<Value>[] => [
  ['(received_at, key) < (?::bigint, ?::bigint)', atMs, key],
]

const notBelow = ({ atMs, key }: Position): readonly Condition<Value>[] => [
  ['(received_at, key) >= (?::bigint, ?::bigint)', atMs, key],
]

export const timeRange = ({ sinceMs, untilMs }: EventFilter): readonly Condition<Value>[] => [
  ...optional<Value>('received_at >= ?', sinceMs),
  ...optional<Value>('received_at < ?', untilMs),
]

/** All conditions of a filter on the columns of `event`. */
export const eventConditions = (filter: EventFilter): readonly Condition<Value>[] => [
  ...timeRange(filter),
  ...checkedRowByRow(filter),
]

function checkedRowByRow({ source, type, status, origin, task, q }: EventFilter): readonly Condition<Value>[] {
  const like = q === undefined ? undefined : likeContaining(escapeText(q))
  return [
    ...optional<Value>('source = ?', source && escapeText(source)),
    ...(type?.includes('*')
      ? optional<Value>('type LIKE ?', likeMatching(escapeText(type)))
      : optional<Value>('type = ?', type === undefined ? undefined : escapeText(type))),
    ...optional<Value>('task = ?', task === undefined ? undefined : escapeText(task)),
    ...optional<Value>('status = ?', status),
    ...optional<Value>('origin = ?', origin),
    ...(like === undefined
      ? []
      : [['(id ILIKE ? OR uid::text ILIKE ? OR type ILIKE ? OR task ILIKE ?)', like, like, like, like] as const]),
  ]
}
