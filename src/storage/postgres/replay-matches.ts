import { checkEventFilter } from '../../domain/event-filter.ts'
import { createPayloadTest, type PayloadTest } from '../../domain/payload-search.ts'
import type { KeyRange, MatchedEvents, ReplayFilter } from '../../domain/replay-jobs.ts'
import { eventKeyOf, firstDeliveryKey, lastDeliveryKey } from '../shared/deliveries.ts'
import { type Condition, optional } from '../shared/list-pages.ts'
import { drivenIn, MAX_RANGE_READ } from '../shared/outcomes.ts'
import {
  driverOf,
  isReplayable,
  MAX_MATCHES_READ,
  MAX_PAYLOAD_BYTES,
  MAX_PAYLOADS_READ,
  NO_KEYS,
  outsideOf,
  PAYLOADS_MS,
  type ReplayDriver,
} from '../shared/replays.ts'
import { type Connections, type Row, select, type Value } from './connections.ts'
import { escapeText } from './escape-text.ts'
import { eventConditions, timeRange } from './event-conditions.ts'

type MatchRow = Row & { readonly key: number; readonly uid: string; readonly size: number }
type RangeRow = Row & { readonly first: number | null; readonly last: number; readonly n: number }
type PayloadRow = Row & { readonly key: number; readonly headers: string; readonly bytes: Buffer }

const PAYLOADS = {
  name: 'replay-payloads',
  text: `
    SELECT event.key, b.headers, b.bytes FROM event
    JOIN event_body AS b ON b.day = day_1(event.received_at) AND b.key = event.key WHERE event.key = ANY ($1::bigint[])
  `,
}

const BOUNDS = 'SELECT min(key) AS first, max(key) AS last, count(*) AS n FROM (SELECT key FROM event'
// By the index of times: otherwise the server may look for the first key from the oldest event on.
const BY_TIME = 'ORDER BY received_at, key LIMIT ?::bigint) AS ranged'

const rangeIn = (row: RangeRow | undefined): KeyRange =>
  row === undefined || row.first === null ? NO_KEYS : { after: row.first - 1, last: row.last }

/** Finds the keys between which the events of a filter are. */
function createReplayRange(connections: Connections) {
  async function wholeRange(): Promise<KeyRange> {
    const [row] = await select<RangeRow>(
      connections,
      'SELECT min(key) AS first, max(key) AS last FROM event',
      [],
      '',
      [],
    )
    return rangeIn(row)
  }

  /** The keys of the events in a range of time, and how many these are: at most `limit` of them are looked at (null: all). */
  async function boundsOf(
    within: readonly Condition<Value>[],
    limit: number | null,
  ): Promise<{ readonly range: KeyRange; readonly n: number }> {
    const [row] = await select<RangeRow>(connections, BOUNDS, within, BY_TIME, [limit])
    return { range: rangeIn(row), n: Number(row?.n) }
  }

  return async (filter: ReplayFilter): Promise<KeyRange> => {
    checkEventFilter(filter)
    const within = timeRange(filter)
    if (within.length === 0) return wholeRange()
    const few = await boundsOf(within, MAX_RANGE_READ + 1)
    if (few.n <= MAX_RANGE_READ) return few.range
    const outside = await Promise.all(outsideOf(filter).map((times) => boundsOf(timeRange(times), MAX_RANGE_READ)))
    return outside.every(({ n }) => n < MAX_RANGE_READ) ? wholeRange() : (await boundsOf(within, null)).range
  }
}

/** Finds the events of a replay job in order of key. */
export function createReplayMatches(connections: Connections) {
  async function windowEnd({ after, last }: KeyRange): Promise<number> {
    const within: Condition<Value>[] = [
      ['key > ?::bigint', after],
      ['key <= ?::bigint', last],
    ]
    const [row] = await select<MatchRow>(
      connections,
      'SELECT key FROM event',
      within,
      'ORDER BY key LIMIT 1 OFFSET ?',
      [MAX_MATCHES_READ - 1],
    )
    return row?.key ?? last
  }

  /** The last event before the delivery that may not be read any more. */
  async function drivenEnd({ condition }: ReplayDriver, { after, last }: KeyRange): Promise<number> {
    const within: Condition<Value>[] = [
      [condition],
      ['d.key >= ?::bigint', firstDeliveryKey(after + 1)],
      ['d.key <= ?::bigint', lastDeliveryKey(last)],
    ]
    const nth = 'ORDER BY d.key LIMIT 1 OFFSET ?'
    const [row] = await select<MatchRow>(connections, 'SELECT d.key FROM delivery AS d', within, nth, [
      MAX_MATCHES_READ - 1,
    ])
    return row === undefined ? last : eventKeyOf(row.key) - 1
  }

  return {
    range: createReplayRange(connections),

    async matches(filter: ReplayFilter, range: KeyRange, limit: number): Promise<MatchedEvents> {
      const driver = driverOf(filter)
      const end = await (driver === undefined ? windowEnd(range) : drivenEnd(driver, range))
      const conditions: Condition<Value>[] = [
        ...(driver === undefined
          ? []
          : drivenIn<Value>(driver, firstDeliveryKey(range.after + 1), firstDeliveryKey(end + 1))),
        ['event.key > ?::bigint', range.after],
        ['event.key <= ?::bigint', end],
        ...eventConditions(filter),
        ...deliveryConditions(filter),
      ]
      const from = driver === undefined ? 'event' : 'delivery AS d JOIN event ON event.key = d.key / 1024'
      const test = createPayloadTest(filter)
      const most = test === undefined ? limit : MAX_PAYLOADS_READ
      const columns = `SELECT event.key, event.uid, event.size FROM ${from}`
      const found = await select<MatchRow>(connections, columns, conditions, 'ORDER BY event.key LIMIT ?', [most])
      const readTo = found.length === most ? (found.at(-1)?.key ?? end) : end
      const shown = found.map(({ key, uid }) => ({ key, uid }))
      return test === undefined ? { events: shown, readTo } : tested(connections, found, readTo, limit, test)
    },
  }
}

function deliveryConditions({ handler, delivery, cause }: ReplayFilter): readonly Condition<Value>[] {
  if (handler === undefined && delivery === undefined && cause === undefined) return []
  const of = [
    ...optional<Value>('r.handler = ?', handler === undefined ? undefined : escapeText(handler)),
    ...optional<Value>('r.cause IN (SELECT c.key FROM cause AS c WHERE c.id = ?)', cause),
    ...(delivery === undefined ? [] : [[isReplayable(delivery, 'r')] as const]),
  ]
  const where = ['r.key BETWEEN event.key * 1024 AND event.key * 1024 + 1023', ...of.map(([sql]) => sql)].join(' AND ')
  return [[`EXISTS (SELECT FROM delivery AS r WHERE ${where})`, ...of.flatMap(([, ...values]) => values)]]
}

/** A body that is longer than a batch is one alone. */
function batchesOf(found: readonly MatchRow[]): readonly (readonly MatchRow[])[] {
  const batches: MatchRow[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const row of found) {
    if (bytes + row.size > MAX_PAYLOAD_BYTES) {
      batches.push([])
      bytes = 0
    }
    batches.at(-1)?.push(row)
    bytes += row.size
  }
  return batches
}

/** Reads the bodies of events for a while. */
async function tested(
  connections: Connections,
  found: readonly MatchRow[],
  end: number,
  limit: number,
  test: PayloadTest,
): Promise<MatchedEvents> {
  const untilMs = performance.now() + PAYLOADS_MS
  const events: MatchedEvents['events'][number][] = []
  for (const batch of batchesOf(found)) {
    const rows = await connections.run<PayloadRow>('read', PAYLOADS, [batch.map(({ key }) => key)])
    const payloads = new Map(rows.map((row) => [row.key, row]))
    for (const { key, uid } of batch) {
      const payload = payloads.get(key)
      if (payload !== undefined && test(payload.bytes, payload.headers)) events.push({ key, uid })
      if (events.length === limit || performance.now() > untilMs) return { events, readTo: key }
    }
  }
  return { events, readTo: end }
}
