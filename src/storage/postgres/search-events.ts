import type { EventSummary } from '../../domain/event.ts'
import { checkEventFilter, type EventFilter } from '../../domain/event-filter.ts'
import type { PageRequest, SearchPage } from '../../domain/page.ts'
import { EVENT_COLUMNS, type EventRow, eventSummaryOf } from '../shared/events.ts'
import {
  type Condition,
  cutPage,
  EVENTS_PER_STEP,
  type PageRows,
  type Position,
  Steps,
  startOf,
} from '../shared/list-pages.ts'
import { isByArrival } from '../shared/outcomes.ts'
import type { MatchPlan } from '../shared/payload-plan.ts'
import { isScan, scannedUntil } from '../shared/scan.ts'
import { type Connections, select, type Value } from './connections.ts'
import { checkedRowByRow, timeRange } from './event-conditions.ts'
import { createMatchPlan, createSearchIndexed } from './index-candidates.ts'
import type { ScanEvents, ScanOrder } from './scan-events.ts'
import { createSearchOutcomes } from './search-outcomes.ts'

const NEWEST_FIRST = 'ORDER BY received_at DESC, key DESC'

const BY_KEYS = {
  name: 'events-by-key',
  text: `SELECT ${EVENT_COLUMNS} FROM event WHERE event.key = ANY ($1::bigint[])`,
}

/** Lists events, newest first. */
export function createSearchEvents(connections: Connections, scan: ScanEvents) {
  const byOutcome = createSearchOutcomes(connections)
  const matchPlan = createMatchPlan(connections)
  const byIndex = createSearchIndexed(connections)

  return async (filter: EventFilter, page: PageRequest): Promise<SearchPage<EventSummary>> => {
    checkEventFilter(filter)
    const order = isScan(filter) ? ((await matchPlan(filter)) ?? outcomeOrder(filter)) : outcomeOrder(filter)
    const list = order === undefined ? 'events' : 'arrivals'
    const start = startOf(list, page)
    const limit = page.limit + 1
    const indexed =
      typeof order === 'object' && isAnswered(filter, order) ? await byIndex(order, filter, start, limit) : undefined
    if (isScan(filter) && indexed === undefined) return scanned(filter, start, page, order)
    const found = indexed ?? (await (list === 'arrivals' ? byOutcome : byTime)(filter, start, limit))
    const { shown, nextCursor } = cutPage(list, page, found, (row) => positionOf(list, row))
    return { items: shown.map(eventSummaryOf), nextCursor }
  }

  async function scanned(filter: EventFilter, start: Position, page: PageRequest, order: ScanOrder) {
    const list = order === undefined ? 'events' : 'arrivals'
    const found = await scan(filter, start, page.limit + 1, order)
    const { shown, nextCursor } = cutPage(list, page, found, (position) => position)
    const keys = shown.map(({ key }) => key)
    const rows = await connections.run<EventRow>('read', BY_KEYS, [keys])
    const byKey = new Map(rows.map((row) => [row.key, row]))
    const items = keys.flatMap((key) => byKey.get(key) ?? []).map(eventSummaryOf)
    return { items, nextCursor, ...scannedUntil(found) }
  }

  async function byTime(filter: EventFilter, start: Position, limit: number): Promise<PageRows<EventRow>> {
    const range = timeRange(filter)
    const checked = checkedRowByRow(filter)
    const read = (conditions: readonly Condition<Value>[]): Promise<EventRow[]> => {
      const columns = `SELECT ${EVENT_COLUMNS} FROM event`
      return select(connections, columns, [...range, ...conditions, ...checked], `${NEWEST_FIRST} LIMIT ?`, [limit])
    }
    if (isIndexed(filter) || checked.length === 0) return { rows: await read(after(start)), end: undefined }

    const steps = new Steps()
    const rows: EventRow[] = []
    for (let from = start; ; ) {
      const end = await lastOfStep([...range, ...after(from)])
      rows.push(...(await read([...after(from), ...(end === undefined ? [] : notBelow(end))])))
      if (end === undefined || rows.length >= limit || steps.areOver()) return { rows, end }
      from = end
    }
  }

  /** The last event of a step; undefined if it has all that are left. */
  async function lastOfStep(range: readonly Condition<Value>[]): Promise<Position | undefined> {
    const [row] = await select<EventRow>(
      connections,
      'SELECT received_at, key FROM event',
      range,
      `${NEWEST_FIRST} LIMIT 1 OFFSET ?`,
      [EVENTS_PER_STEP - 1],
    )
    return row && positionOf('events', row)
  }
}

const positionOf = (list: 'events' | 'arrivals', { received_at, key }: EventRow): Position => ({
  atMs: list === 'events' ? received_at : 0,
  key,
})

/**
 * Whether an index answers the filter: a task has few events, and an index gives the events of one source and type in order.
 */
const isIndexed = ({ task, source, type, status, outcome, origin, q }: EventFilter): boolean =>
  task !== undefined ||
  (source !== undefined &&
    type !== undefined &&
    !type.includes('*') &&
    status === undefined &&
    outcome === undefined &&
    origin === undefined &&
    q === undefined)

const after = ({ atMs, key }: Position): readonly Condition<Value>[] => [
  ['(received_at, key) < (?::bigint, ?::bigint)', atMs, key],
]

const notBelow = ({ atMs, key }: Position): readonly Condition<Value>[] => [
  ['(received_at, key) >= (?::bigint, ?::bigint)', atMs, key],
]

const outcomeOrder = (filter: EventFilter): 'outcome' | undefined => (isByArrival(filter) ? 'outcome' : undefined)

/** Whether the index alone answers what the filter asks of payloads. */
const isAnswered = ({ match = [], contains }: EventFilter, { from }: MatchPlan): boolean =>
  from === 0 && match.length === 1 && contains === undefined
