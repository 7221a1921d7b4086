import type { DatabaseSync } from 'node:sqlite'
import type { EventFilter } from '../../domain/event-filter.ts'
import { createPayloadTest, type PayloadTest } from '../../domain/payload-search.ts'
import type { Position } from '../shared/list-pages.ts'
import { MAX_CANDIDATES, ScanClock, type ScannedRows } from '../shared/scan.ts'
import { isCorruption, unlessDamaged } from './errors.ts'
import { eventConditions, timeRange } from './event-conditions.ts'
import type { Candidates } from './index-candidates.ts'
import { type SqlCondition, StatementCache } from './statement-cache.ts'

/** How many events one statement passes over at most, so that the time is looked at between two. */
const WINDOW_EVENTS = 20_000
const NEWEST_FIRST = 'ORDER BY event.received_at DESC, event.key DESC'
const PAYLOADS = `SELECT event.received_at, event.key, event_body.bytes, event.headers
  FROM event CROSS JOIN event_body ON event_body.key = event.key`

/** Reads the bodies of events, newest first, for as long as a scan may take. */
export function prepareScanEvents(db: DatabaseSync) {
  const statements = new StatementCache(db)
  const { scanWindow, readOne } = prepareReadPayloads(db, statements)

  /** By time of receipt. */
  function byTime(filter: EventFilter, start: Position, limit: number): ScannedRows {
    const { test, clock } = begin(filter)
    const rows: Position[] = []
    for (let from = start; ; ) {
      const end = windowEnd(statements, from, timeRange(filter))
      const conditions = [...eventConditions(filter), ...before(from), ...(end === undefined ? [] : notBefore(end))]
      const stopped = scanWindow(conditions, (position, bytes, headers) => {
        if (test(bytes, headers)) rows.push(position)
        return rows.length < limit && !clock.isOver()
      })
      const last = stopped ?? end
      if (rows.length >= limit || last === undefined) return { rows, end: undefined }
      if (clock.isOver()) return { rows, end: last, scannedUntilMs: last.atMs }
      from = last
    }
  }

  /** What an index leads to, in order of arrival. */
  function byArrival(
    filter: EventFilter,
    start: Position,
    limit: number,
    candidates: Candidates,
    scanMs?: number,
  ): ScannedRows {
    const { test, clock } = begin(filter, scanMs)
    const rows: Position[] = []
    for (let from = start; ; ) {
      const found = candidates(filter, from, MAX_CANDIDATES)
      for (const position of found.rows) {
        const payload = readOne(position.key)
        if (payload !== undefined && test(payload[2], payload[3])) rows.push(position)
        if (rows.length >= limit) return { rows, end: undefined }
        if (clock.isOver()) return { rows, end: position, scannedUntilMs: payload?.[0] }
      }
      const last = found.end ?? (found.rows.length < MAX_CANDIDATES ? undefined : found.rows.at(-1))
      if (last === undefined) return { rows, end: undefined }
      if (clock.isOver()) return { rows, end: last }
      from = last
    }
  }

  return { byTime, byArrival }
}

type Take = (position: Position, bytes: Uint8Array, headers: string) => boolean

function prepareReadPayloads(db: DatabaseSync, statements: StatementCache) {
  const onePayload = db.prepare(`${PAYLOADS} WHERE event.key = ?`)
  onePayload.setReturnArrays(true)

  /** Undefined if there is no such event, or it lies on a damaged page. */
  function readOne(key: number): PayloadRow | undefined {
    const row: unknown = unlessDamaged(() => onePayload.get(key))
    return row as PayloadRow | undefined
  }

  /** Gives the position at which `take` gave false; undefined if it never did. */
  function scanWindow(conditions: readonly SqlCondition[], take: Take): Position | undefined {
    let last: Position | undefined
    try {
      for (const row of statements.iterate(PAYLOADS, conditions, NEWEST_FIRST, [])) {
        const [atMs, key, bytes, headers] = row as PayloadRow
        last = { atMs, key }
        if (!take(last, bytes, headers)) return last
      }
      return undefined
    } catch (error) {
      if (!isCorruption(error)) throw error
      return carefully([...conditions, ...(last === undefined ? [] : before(last))], take)
    }
  }

  /** Reads event by event, and passes over those on damaged pages. */
  function carefully(conditions: readonly SqlCondition[], take: Take): Position | undefined {
    const keys = unlessDamaged(() => statements.all('SELECT event.key FROM event', conditions, NEWEST_FIRST, [])) ?? []
    for (const { key } of keys) {
      const row = readOne(Number(key))
      if (row !== undefined && !take({ atMs: row[0], key: row[1] }, row[2], row[3]))
        return { atMs: row[0], key: row[1] }
    }
    return undefined
  }

  return { scanWindow, readOne }
}

/** The last event of the next window; undefined if the window has all that are left. */
function windowEnd(statements: StatementCache, from: Position, range: readonly SqlCondition[]): Position | undefined {
  const [row] = statements.all(
    'SELECT event.received_at, event.key FROM event',
    [...range, ...before(from)],
    `${NEWEST_FIRST} LIMIT 1 OFFSET ?`,
    [WINDOW_EVENTS - 1],
  )
  return row && { atMs: Number(row.received_at), key: Number(row.key) }
}

type PayloadRow = readonly [receivedAt: number, key: number, bytes: Uint8Array, headers: string]

function begin(filter: EventFilter, scanMs?: number): { readonly test: PayloadTest; readonly clock: ScanClock } {
  const test = createPayloadTest(filter)
  if (test === undefined) throw new Error('the filter is not about payloads')
  return { test, clock: new ScanClock(scanMs) }
}

const before = ({ atMs, key }: Position): readonly SqlCondition[] => [
  ['event.received_at <= ?', atMs],
  ['(event.received_at < ? OR event.key < ?)', atMs, key],
]

const notBefore = ({ atMs, key }: Position): readonly SqlCondition[] => [
  ['event.received_at >= ?', atMs],
  ['(event.received_at > ? OR event.key >= ?)', atMs, key],
]
