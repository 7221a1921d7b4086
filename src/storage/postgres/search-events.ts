import type { EventSummary } from '../../domain/event.ts'
import type { EventFilter, Page, PageRequest } from '../../domain/store.ts'
import { cursorOf, type Position, startOf } from '../records/cursor.ts'
import { checkEventFilter } from '../records/event-filter.ts'
import { type Condition, containing, matching, optional, select } from './conditions.ts'
import type { Connections } from './connections.ts'
import { escapeText } from './escape-text.ts'
import { EVENT_COLUMNS, type EventRow, eventSummaryOf } from './rows.ts'

/** Events looked at for one page where no index answers the filter; the page is then short, and has a cursor. */
const MAX_LOOKED_AT = 100_000

const NEWEST_FIRST = 'ORDER BY received_at DESC, key DESC'

/** Events, newest first. */
export function createSearchEvents(connections: Connections) {
  return async (filter: EventFilter, page: PageRequest): Promise<Page<EventSummary>> => {
    const start = startOf('events', page)
    checkEventFilter(filter)
    const range = [...timeRange(filter), ...after(start)]
    const checked = checkedRowByRow(filter)
    const end = isIndexed(filter) || checked.length === 0 ? undefined : await lowest(range)
    const conditions = [...range, ...(end === undefined ? [] : notBelow(end)), ...checked]
    const rows = await select<EventRow>(
      connections,
      `SELECT ${EVENT_COLUMNS} FROM event`,
      conditions,
      `${NEWEST_FIRST} LIMIT ?`,
      [page.limit + 1],
    )
    const shown = rows.slice(0, page.limit)
    const last = rows.length > page.limit ? positionOf(shown.at(-1)) : end
    return { items: shown.map(eventSummaryOf), nextCursor: last && cursorOf('events', last) }
  }

  /** The last event that may be looked at; undefined if all may. */
  async function lowest(range: readonly Condition[]): Promise<Position | undefined> {
    const [row] = await select<EventRow>(
      connections,
      'SELECT received_at, key FROM event',
      range,
      `${NEWEST_FIRST} LIMIT 1 OFFSET ?`,
      [MAX_LOOKED_AT - 1],
    )
    return positionOf(row)
  }
}

const positionOf = (row: EventRow | undefined): Position | undefined => row && { atMs: row.received_at, key: row.key }

/** A task's events are few, and an index leads to those of one source and type in order. */
const isIndexed = ({ task, source, type, status, origin, q }: EventFilter): boolean =>
  task !== undefined ||
  (source !== undefined &&
    type !== undefined &&
    !type.includes('*') &&
    status === undefined &&
    origin === undefined &&
    q === undefined)

const after = ({ atMs, key }: Position): readonly Condition[] => [
  ['(received_at, key) < (?::bigint, ?::bigint)', atMs, key],
]

const notBelow = ({ atMs, key }: Position): readonly Condition[] => [
  ['(received_at, key) >= (?::bigint, ?::bigint)', atMs, key],
]

const timeRange = ({ sinceMs, untilMs }: EventFilter): readonly Condition[] => [
  ...optional('received_at >= ?', sinceMs),
  ...optional('received_at < ?', untilMs),
]

function checkedRowByRow({ source, type, status, origin, task, q }: EventFilter): readonly Condition[] {
  const like = q === undefined ? undefined : containing(escapeText(q))
  return [
    ...optional('source = ?', source && escapeText(source)),
    ...(type?.includes('*')
      ? optional('type LIKE ?', matching(escapeText(type)))
      : optional('type = ?', type === undefined ? undefined : escapeText(type))),
    ...optional('task = ?', task === undefined ? undefined : escapeText(task)),
    ...optional('status = ?', status),
    ...optional('origin = ?', origin),
    ...(like === undefined
      ? []
      : [['(id ILIKE ? OR uid::text ILIKE ? OR type ILIKE ? OR task ILIKE ?)', like, like, like, like] as const]),
  ]
}
