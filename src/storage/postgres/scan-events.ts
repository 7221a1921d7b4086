import type { EventFilter } from '../../domain/event-filter.ts'
import { createPayloadTest } from '../../domain/payload-search.ts'
import { type Condition, MAX_EVENTS_READ, type Position } from '../shared/list-pages.ts'
import type { MatchPlan } from '../shared/payload-plan.ts'
import {
  type Candidate,
  MAX_CANDIDATES,
  MAX_INDEXED,
  ScanClock,
  type ScannedRows,
  scanBatches,
} from '../shared/scan.ts'
import { type Connections, type Row, select, type Value } from './connections.ts'
import { eventConditions, timeRange } from './event-conditions.ts'
import { type CandidateRow, createIndexCandidates } from './index-candidates.ts'
import { createSearchOutcomes } from './search-outcomes.ts'

const NEWEST_FIRST = 'ORDER BY event.received_at DESC, event.key DESC'
const PAYLOADS = {
  name: 'payloads',
  text: `
    SELECT event.key, b.headers, b.bytes FROM event
    JOIN event_body AS b ON b.day = day_1(event.received_at) AND b.key = event.key WHERE event.key = ANY ($1::bigint[])
  `,
}

interface PayloadRow extends Row {
  readonly key: number
  readonly headers: string
  readonly bytes: Buffer
}

/** What a scan reads: what an outcome or the index leads to, in order of arrival; undefined: all, by time of receipt. */
export type ScanOrder = MatchPlan | 'outcome' | undefined
export type ScanEvents = (filter: EventFilter, start: Position, limit: number, order: ScanOrder) => Promise<ScannedRows>

/** Reads the bodies of events, newest first, for as long as a scan may take. To be run in a thread of its own. */
export function createScanEvents(connections: Connections): ScanEvents {
  const byOutcome = createSearchOutcomes(connections)

  const byIndex = createIndexCandidates(connections)

  return async (filter, start, limit, order) => {
    const test = createPayloadTest(filter)
    if (test === undefined) throw new Error('the filter is not about payloads')
    const clock = new ScanClock()
    const rows: Position[] = []
    const window: Window = { isOpen: false, end: undefined }
    for (let from = start; ; ) {
      const { found, end } = await (order === undefined ? received(filter, from, window) : arrived(filter, from, order))
      for (const batch of scanBatches(found)) {
        const payloads = await payloadsOf(connections, batch)
        for (const { position, receivedAtMs } of batch) {
          const payload = payloads.get(position.key)
          if (payload !== undefined && test(payload.bytes, payload.headers)) rows.push(position)
          if (rows.length >= limit) return { rows, end: undefined }
          if (clock.isOver()) return { rows, end: position, scannedUntilMs: receivedAtMs }
        }
      }
      if (end === undefined) return { rows, end: undefined }
      if (clock.isOver())
        return { rows, end, scannedUntilMs: found.at(-1)?.receivedAtMs ?? (order === undefined ? end.atMs : undefined) }
      from = end
    }
  }

  /** `window` is the last event that one statement may pass over; it is found out where the window before has been read. */
  async function received(filter: EventFilter, from: Position, window: Window): Promise<Candidates> {
    const range: readonly Condition<Value>[] = [
      ...timeRange(filter),
      ['(event.received_at, event.key) < (?::bigint, ?::bigint)', from.atMs, from.key],
    ]
    const conditions = eventConditions(filter)
    const isFiltered = conditions.length > timeRange(filter).length
    if (!window.isOpen)
      Object.assign(window, { isOpen: true, end: isFiltered ? await windowEnd(connections, range) : undefined })
    const { end: last } = window
    const rows = await select<CandidateRow>(
      connections,
      'SELECT event.received_at, event.key, event.size FROM event',
      [
        ...range,
        ...(last === undefined
          ? []
          : [['(event.received_at, event.key) >= (?::bigint, ?::bigint)', last.atMs, last.key] as const]),
        ...conditions,
      ],
      `${NEWEST_FIRST} LIMIT ?`,
      [MAX_CANDIDATES],
    )
    const found = rows.map(candidateOf(({ received_at, key }) => ({ atMs: received_at, key })))
    if (rows.length === MAX_CANDIDATES) return { found, end: found.at(-1)?.position }
    window.isOpen = false
    return { found, end: last }
  }

  async function arrived(filter: EventFilter, from: Position, order: MatchPlan | 'outcome'): Promise<Candidates> {
    const { rows, end } = await (order === 'outcome'
      ? byOutcome(filter, from, MAX_CANDIDATES)
      : byIndex(order, filter, from, MAX_INDEXED))
    const found = rows.map(candidateOf(({ key }) => ({ atMs: 0, key })))
    return {
      found,
      end: end ?? (order === 'outcome' && rows.length === MAX_CANDIDATES ? found.at(-1)?.position : undefined),
    }
  }
}

/** The last event of the next window; undefined if the window has all that are left. */
async function windowEnd(connections: Connections, range: readonly Condition<Value>[]): Promise<Position | undefined> {
  const [row] = await select<{ received_at: number; key: number }>(
    connections,
    'SELECT event.received_at, event.key FROM event',
    range,
    `${NEWEST_FIRST} LIMIT 1 OFFSET ?`,
    [MAX_EVENTS_READ - 1],
  )
  return row && { atMs: row.received_at, key: row.key }
}

async function payloadsOf(
  connections: Connections,
  batch: readonly Candidate[],
): Promise<ReadonlyMap<number, PayloadRow>> {
  const keys = batch.map(({ position }) => position.key)
  const rows = await connections.run<PayloadRow>('read', PAYLOADS, [keys])
  return new Map(rows.map((row) => [row.key, row]))
}

interface Window {
  isOpen: boolean
  end: Position | undefined
}

interface Candidates {
  readonly found: readonly Candidate[]
  /** Where the search goes on; undefined: it has found all. */
  readonly end: Position | undefined
}

const candidateOf =
  (positionOf: (row: Pick<CandidateRow, 'received_at' | 'key'>) => Position) =>
  (row: Pick<CandidateRow, 'received_at' | 'key' | 'size'>): Candidate => ({
    position: positionOf(row),
    receivedAtMs: row.received_at,
    size: row.size,
  })
