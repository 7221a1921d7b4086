import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { EventSummary } from '../../domain/event.ts'
import type { EventFilter, Page, PageRequest } from '../../domain/store.ts'
import { cursorOf, type Position, startOf } from '../records/cursor.ts'
import { checkEventFilter } from '../records/event-filter.ts'
import { prepareKinds } from './kinds.ts'
import { EVENT_COLUMNS, eventSummaryOf } from './rows.ts'
import { unlessDamaged } from './sqlite-errors.ts'
import { type Condition, likePattern, StatementCache } from './statement-cache.ts'

/** Events looked at for one page where no index answers the filter; the page is then short, and has a cursor. */
const MAX_LOOKED_AT = 100_000

/**
 * Events, newest first. A source and a type are looked up in the index, kind by kind; whatever else is asked for is checked
 * row by row, within bounds.
 */
export function prepareSearchEvents(db: DatabaseSync) {
  const statements = new StatementCache(db)
  const kinds = prepareKinds(db)

  return (filter: EventFilter, page: PageRequest): Page<EventSummary> => {
    const start = startOf('events', page)
    checkEventFilter(filter)
    const chosen = filter.task === undefined ? kinds(filter) : undefined
    const checked = [...checkedRowByRow(filter), ...(chosen === undefined ? kindConditions(filter) : [])]
    const range = timeRange(filter)
    const end = checked.length > 0 && filter.task === undefined ? lowest(start, range) : undefined
    const conditions = [...range, ...after(start), ...(end === undefined ? [] : notBelow(end)), ...checked]

    const found = (chosen ?? [undefined])
      .flatMap((kind) => {
        const ofKind: Condition[] =
          kind === undefined
            ? []
            : [
                ['source = ?', kind.source],
                ['type = ?', kind.type],
              ]
        return select([...ofKind, ...conditions], page.limit + 1)
      })
      .sort((a, b) => b.atMs - a.atMs || b.key - a.key)
    const shown = found.slice(0, page.limit)
    const last = found.length > page.limit ? shown.at(-1) : end
    return {
      items: shown.map(summary).filter((item) => item !== undefined),
      nextCursor: last && cursorOf('events', last),
    }
  }

  function select(conditions: readonly Condition[], limit: number): Position[] {
    return statements
      .all('SELECT received_at, key FROM event', conditions, 'ORDER BY received_at DESC, key DESC LIMIT ?', [limit])
      .map((row) => ({ atMs: Number(row.received_at), key: Number(row.key) }))
  }

  /** Undefined: it lies on a damaged page, and is left out. */
  function summary({ key }: Position): EventSummary | undefined {
    const found = unlessDamaged(() => statements.all(`SELECT ${EVENT_COLUMNS} FROM event`, [['key = ?', key]], '', []))
    if (found === undefined) return undefined
    const [row] = found
    if (row === undefined) throw new Error('an event vanished within one read transaction')
    return eventSummaryOf(row)
  }

  /** The last event that may be looked at; undefined if all may. */
  function lowest(start: Position, range: readonly Condition[]): Position | undefined {
    const [row] = statements.all(
      'SELECT received_at, key FROM event',
      [...range, ...after(start)],
      'ORDER BY received_at DESC, key DESC LIMIT 1 OFFSET ?',
      [MAX_LOOKED_AT - 1],
    )
    return row && { atMs: Number(row.received_at), key: Number(row.key) }
  }
}

const after = ({ atMs, key }: Position): readonly Condition[] => [
  ['received_at <= ?', atMs],
  ['(received_at < ? OR key < ?)', atMs, key],
]

const notBelow = ({ atMs, key }: Position): readonly Condition[] => [
  ['received_at >= ?', atMs],
  ['(received_at > ? OR key >= ?)', atMs, key],
]

const timeRange = ({ sinceMs, untilMs }: EventFilter): readonly Condition[] => [
  ...optional('received_at >= ?', sinceMs),
  ...optional('received_at < ?', untilMs),
]

function checkedRowByRow({ status, origin, task, q }: EventFilter): readonly Condition[] {
  const like = q === undefined ? undefined : likePattern(q)
  return [
    ...optional('task = ?', task),
    ...optional('status = ?', status),
    ...optional('origin = ?', origin),
    ...(like === undefined
      ? []
      : [
          [
            `(${['id', 'uid', 'type', 'task'].map((c) => `${c} LIKE ? ESCAPE '\\'`).join(' OR ')})`,
            like,
            like,
            like,
            like,
          ] as const,
        ]),
  ]
}

/** Where the kinds are too many to be looked up one by one, or the task's index is better. GLOB's other signs are escaped. */
const kindConditions = ({ source, type }: EventFilter): readonly Condition[] => [
  ...optional('source = ?', source),
  ...(type?.includes('*')
    ? optional('type GLOB ?', type.replace(/[[?]/g, '[$&]').replace(/\*+/g, '*'))
    : optional('type = ?', type)),
]

const optional = (sql: string, value: SQLInputValue | undefined): readonly Condition[] =>
  value === undefined ? [] : [[sql, value]]
