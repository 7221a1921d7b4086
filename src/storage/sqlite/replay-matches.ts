import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { checkEventFilter } from '../../domain/event-filter.ts'
import { createPayloadTest, type PayloadTest } from '../../domain/payload-search.ts'
import type { KeyRange, MatchedEvents, ReplayFilter } from '../../domain/replay-jobs.ts'
import { eventKeyOf, firstDeliveryKey, lastDeliveryKey } from '../shared/deliveries.ts'
import { optional } from '../shared/list-pages.ts'
import { drivenIn, MAX_RANGE_READ } from '../shared/outcomes.ts'
import {
  type ReplayDriver as Driver,
  driverOf,
  isReplayable,
  MAX_MATCHES_READ,
  MAX_PAYLOADS_READ,
  NO_KEYS,
  outsideOf,
  PAYLOADS_MS,
} from '../shared/replays.ts'
import { unlessDamaged } from './errors.ts'
import { eventConditions, timeRange } from './event-conditions.ts'
import { type Row, type SqlCondition, StatementCache } from './statement-cache.ts'

const DELIVERIES_OF_EVENT = 'r.key BETWEEN event.key * 1024 AND event.key * 1024 + 1023'

/** Finds the events of a replay job in order of key. */
export function prepareReplayMatches(db: DatabaseSync) {
  const statements = new StatementCache(db)
  const tested = prepareTestPayloads(db)

  /** The key of the last row that may be read. */
  function windowEnd({ after, last }: KeyRange): number {
    const within: SqlCondition[] = [
      ['key > ?', after],
      ['key <= ?', last],
    ]
    const [row] = statements.all('SELECT key FROM event', within, NTH_KEY, [MAX_MATCHES_READ - 1])
    return row === undefined ? last : Number(row.key)
  }

  /** The last event before the delivery that may not be read any more. */
  function drivenEnd({ index, condition }: Driver, { after, last }: KeyRange): number {
    const within: SqlCondition[] = [
      [condition],
      ['d.key >= ?', firstDeliveryKey(after + 1)],
      ['d.key <= ?', lastDeliveryKey(last)],
    ]
    const [row] = statements.all(`SELECT d.key FROM ${drivenBy(index)}`, within, NTH_KEY, [MAX_MATCHES_READ - 1])
    return row === undefined ? last : eventKeyOf(Number(row.key)) - 1
  }

  return {
    replayRange: prepareReplayRange(statements),

    replayMatches(filter: ReplayFilter, range: KeyRange, limit: number): MatchedEvents {
      const driver = driverOf(filter)
      const end = driver === undefined ? windowEnd(range) : drivenEnd(driver, range)
      const conditions: SqlCondition[] = [
        ...(driver === undefined
          ? []
          : drivenIn<SQLInputValue>(driver, firstDeliveryKey(range.after + 1), firstDeliveryKey(end + 1))),
        ['event.key > ?', range.after],
        ['event.key <= ?', end],
        ...eventConditions(filter),
        ...deliveryConditions(filter),
      ]
      const from =
        driver === undefined ? 'event' : `${drivenBy(driver.index)} CROSS JOIN event ON event.key = d.key / 1024`
      const test = createPayloadTest(filter)
      const most = test === undefined ? limit : MAX_PAYLOADS_READ
      const columns = `SELECT event.key, event.uid FROM ${from}`
      const found = statements
        .all(columns, conditions, 'ORDER BY event.key LIMIT ?', [most])
        .map(({ key, uid }) => ({ key: Number(key), uid: String(uid) }))
      const readTo = found.length === most ? (found.at(-1)?.key ?? end) : end
      return test === undefined ? { events: found, readTo } : tested(found, readTo, limit, test)
    },
  }
}

/** Finds the keys between which the events of a filter are. */
function prepareReplayRange(statements: StatementCache) {
  function wholeRange(): KeyRange {
    const [row] = statements.all(ENDS, [], '', [])
    return rangeIn(row)
  }

  /** The keys of the events in a range of time, and how many these are: at most `limit` of them are looked at. */
  function boundsOf(within: readonly SqlCondition[], limit: number): { readonly range: KeyRange; readonly n: number } {
    const [row] = statements.all(BOUNDS, within, 'LIMIT ?)', [limit])
    return { range: rangeIn(row), n: Number(row?.n) }
  }

  return (filter: ReplayFilter): KeyRange => {
    checkEventFilter(filter)
    const within = timeRange(filter)
    if (within.length === 0) return wholeRange()
    const few = boundsOf(within, MAX_RANGE_READ + 1)
    if (few.n <= MAX_RANGE_READ) return few.range
    const outside = outsideOf(filter).map((times) => boundsOf(timeRange(times), MAX_RANGE_READ).n)
    return outside.every((n) => n < MAX_RANGE_READ) ? wholeRange() : boundsOf(within, ALL).range
  }
}

// Each of the two alone is a look at one end of the table; together they would read it whole.
const ENDS = 'SELECT (SELECT min(key) FROM event) AS first, (SELECT max(key) FROM event) AS last'
const BOUNDS = `SELECT min(key) AS first, max(key) AS last, count(*) AS n
  FROM (SELECT key FROM event INDEXED BY event_by_time`
/** No limit. */
const ALL = -1
const NTH_KEY = 'ORDER BY key LIMIT 1 OFFSET ?'
const drivenBy = (index: string): string => `delivery AS d INDEXED BY ${index}`

const rangeIn = (row: Row | undefined): KeyRange =>
  row === undefined || row.first === null ? NO_KEYS : { after: Number(row.first) - 1, last: Number(row.last) }

function deliveryConditions({ handler, delivery, cause }: ReplayFilter): readonly SqlCondition[] {
  if (handler === undefined && delivery === undefined && cause === undefined) return []
  const of = [
    ...optional<SQLInputValue>('r.handler = ?', handler),
    ...optional<SQLInputValue>('r.cause IN (SELECT key FROM cause WHERE id = ?)', cause),
    ...(delivery === undefined ? [] : [[isReplayable(delivery, 'r')] as const]),
  ]
  const where = [DELIVERIES_OF_EVENT, ...of.map(([sql]) => sql)].join(' AND ')
  return [[`EXISTS (SELECT 1 FROM delivery AS r WHERE ${where})`, ...of.flatMap(([, ...values]) => values)]]
}

/** Reads the bodies of events for a while. One on a damaged page matches nothing. */
function prepareTestPayloads(db: DatabaseSync) {
  const payload = db.prepare(
    'SELECT event.headers, event_body.bytes FROM event CROSS JOIN event_body ON event_body.key = event.key WHERE event.key = ?',
  )
  return (found: MatchedEvents['events'], end: number, limit: number, test: PayloadTest): MatchedEvents => {
    const untilMs = performance.now() + PAYLOADS_MS
    const events: MatchedEvents['events'][number][] = []
    for (const event of found) {
      const row = unlessDamaged(() => payload.get(event.key))
      if (row?.bytes instanceof Uint8Array && test(row.bytes, String(row.headers))) events.push(event)
      if (events.length === limit || performance.now() > untilMs) return { events, readTo: event.key }
    }
    return { events, readTo: end }
  }
}
