import type { DatabaseSync } from 'node:sqlite'
import type { EventSummary } from '../../domain/event.ts'
import { checkEventFilter, type EventFilter } from '../../domain/event-filter.ts'
import type { PageRequest, SearchPage } from '../../domain/page.ts'
import { compilePatterns } from '../../pipeline/type-routes.ts'
import { EVENT_COLUMNS, type EventRow, eventSummaryOf, STORED_COLUMNS } from '../shared/events.ts'
import { cutPage, EVENTS_PER_STEP, type PageRows, type Position, Steps, startOf } from '../shared/list-pages.ts'
import { isByArrival } from '../shared/outcomes.ts'
import type { MatchPlan } from '../shared/payload-plan.ts'
import { INDEXED_MS, isScan, type ScannedRows, scannedUntil } from '../shared/scan.ts'
import { unlessDamaged } from './errors.ts'
import { checkedRowByRow, kindConditions, timeRange } from './event-conditions.ts'
import { prepareIndexCandidates } from './index-candidates.ts'
import { prepareScanEvents } from './scan-events.ts'
import { prepareSearchOutcomes } from './search-outcomes.ts'
import { type SqlCondition, StatementCache } from './statement-cache.ts'

/**
 * Lists events, newest first. A source and a type are looked up in the index, one pair of source and type at a time; all other
 * conditions are checked row by row, within bounds.
 */
export function prepareSearchEvents(db: DatabaseSync) {
  const statements = new StatementCache(db)
  const byTime = prepareByTime(db, statements)
  const byOutcome = prepareSearchOutcomes(statements)
  const scan = prepareScanEvents(db)
  const index = prepareIndexCandidates(db, statements)

  function events(filter: EventFilter, page: PageRequest): SearchPage<EventSummary> {
    checkEventFilter(filter)
    return search(filter, page, isScan(filter) ? index.plan(filter) : undefined)
  }

  function search(filter: EventFilter, page: PageRequest, plan?: MatchPlan, scanMs?: number): SearchPage<EventSummary> {
    const candidates = plan !== undefined ? index.candidatesOf(plan) : isByArrival(filter) ? byOutcome : undefined
    const list = candidates === undefined ? 'events' : 'arrivals'
    const start = startOf(list, page)
    const limit = page.limit + 1
    const found: ScannedRows = isScan(filter)
      ? candidates === undefined
        ? scan.byTime(filter, start, limit)
        : scan.byArrival(filter, start, limit, candidates, scanMs)
      : (candidates ?? byTime)(filter, start, limit)
    const { shown, nextCursor } = cutPage(list, page, found, (position) => position)
    const items = shown.map(summary).filter((item) => item !== undefined)
    return { items, nextCursor, ...scannedUntil(found) }
  }

  /** As `events`, if the index of values in payloads has all that the filter asks for. */
  function indexedEvents(filter: EventFilter, page: PageRequest): SearchPage<EventSummary> | undefined {
    checkEventFilter(filter)
    const plan = index.plan(filter)
    return plan?.from === 0 ? search(filter, page, plan, INDEXED_MS) : undefined
  }

  /** Undefined if the event lies on a damaged page; the list leaves it out. */
  function summary({ key }: Position): EventSummary | undefined {
    const read = (columns: string) =>
      unlessDamaged(() => statements.all(`SELECT ${columns} FROM event`, [['key = ?', key]], '', []))
    const found = read(EVENT_COLUMNS) ?? read(STORED_COLUMNS)
    if (found === undefined) return undefined
    const [row] = found
    if (row === undefined) throw new Error('an event vanished within one read transaction')
    return eventSummaryOf(row as EventRow)
  }

  return { events, indexedEvents }
}

/** Lists by time of receipt. */
function prepareByTime(db: DatabaseSync, statements: StatementCache) {
  const kinds = prepareSourceTypes(db)

  return (filter: EventFilter, start: Position, limit: number): PageRows<Position> => {
    const chosen = filter.task === undefined ? kinds(filter) : undefined
    const checked = [...checkedRowByRow(filter), ...(chosen === undefined ? kindConditions(filter) : [])]
    const range = timeRange(filter)
    const read = (conditions: readonly SqlCondition[]): Position[] =>
      (chosen ?? [undefined])
        .flatMap((kind) => {
          const ofKind: SqlCondition[] =
            kind === undefined
              ? []
              : [
                  ['source = ?', kind.source],
                  ['type = ?', kind.type],
                ]
          return select([...ofKind, ...range, ...conditions, ...checked], limit)
        })
        .sort((a, b) => b.atMs - a.atMs || b.key - a.key)
    if (checked.length === 0 || filter.task !== undefined) return { rows: read(after(start)), end: undefined }

    const steps = new Steps()
    const rows: Position[] = []
    for (let from = start; ; ) {
      const end = lastOfStep(from, range)
      rows.push(...read([...after(from), ...(end === undefined ? [] : notBelow(end))]))
      if (end === undefined || rows.length >= limit || steps.areOver()) return { rows, end }
      from = end
    }
  }

  function select(conditions: readonly SqlCondition[], limit: number): Position[] {
    return statements
      .all('SELECT received_at, key FROM event', conditions, 'ORDER BY received_at DESC, key DESC LIMIT ?', [limit])
      .map((row) => ({ atMs: Number(row.received_at), key: Number(row.key) }))
  }

  /** The last event of a step; undefined if it has all that are left. */
  function lastOfStep(start: Position, range: readonly SqlCondition[]): Position | undefined {
    const [row] = statements.all(
      'SELECT received_at, key FROM event',
      [...range, ...after(start)],
      'ORDER BY received_at DESC, key DESC LIMIT 1 OFFSET ?',
      [EVENTS_PER_STEP - 1],
    )
    return row && { atMs: Number(row.received_at), key: Number(row.key) }
  }
}

const after = ({ atMs, key }: Position): readonly SqlCondition[] => [
  ['received_at <= ?', atMs],
  ['(received_at < ? OR key < ?)', atMs, key],
]

const notBelow = ({ atMs, key }: Position): readonly SqlCondition[] => [
  ['received_at >= ?', atMs],
  ['(received_at > ? OR key >= ?)', atMs, key],
]

/** Pairs of source and type that are looked up one by one. */
const MAX_KINDS = 256

interface SourceType {
  readonly source: string
  readonly type: string
}

/** The pairs of source and type that match a filter; undefined if the filter has neither, or there are too many pairs. */
export function prepareSourceTypes(db: DatabaseSync) {
  // Each step is one search in the index. (Row values would not do: `(source, type) > (?, ?)` reads over all equal rows.)
  const nextType = db.prepare('SELECT source, type FROM event WHERE source = ? AND type > ? ORDER BY type LIMIT 1')
  const nextSource = db.prepare('SELECT source, type FROM event WHERE source > ? ORDER BY source, type LIMIT 1')

  return ({ source, type }: Pick<EventFilter, 'source' | 'type'>): readonly SourceType[] | undefined => {
    if (source === undefined && type === undefined) return undefined
    if (source !== undefined && type !== undefined && !type.includes('*')) return [{ source, type }]
    const matches = compilePatterns([type ?? '*'])
    const kinds: SourceType[] = []
    let row = source === undefined ? nextSource.get('') : nextType.get(source, '')
    for (let looked = 0; row !== undefined; looked++) {
      if (looked === MAX_KINDS) return undefined
      const kind = { source: String(row.source), type: String(row.type) }
      if (matches(kind.type)) kinds.push(kind)
      row = nextType.get(kind.source, kind.type) ?? (source === undefined ? nextSource.get(kind.source) : undefined)
    }
    return kinds
  }
}
