import type { EventFilter } from '../../domain/event-filter.ts'
import { TO_BE_READ } from '../../domain/payload-index.ts'
import { EVENT_COLUMNS, type EventRow } from '../shared/events.ts'
import type { Condition, PageRows, Position } from '../shared/list-pages.ts'
import { type MatchPlan, mergeKeys, type PathRow, planMatch, UNINDEXED_KEYS } from '../shared/payload-plan.ts'
import { MAX_INDEXED } from '../shared/scan.ts'
import { type Connections, type Row, select, type Value } from './connections.ts'
import { escapeText } from './escape-text.ts'
import { eventConditions } from './event-conditions.ts'
import { PATHS } from './payload-index.ts'

/** Those that have events, one more than have paths at most. */
const SOURCES = {
  name: 'sources-with-events',
  text: `
    WITH RECURSIVE found AS (
      (SELECT source FROM event ORDER BY source LIMIT 1)
      UNION ALL SELECT (SELECT e.source FROM event AS e WHERE e.source > found.source ORDER BY e.source LIMIT 1)
      FROM found WHERE found.source IS NOT NULL
    ) SELECT source FROM found WHERE source IS NOT NULL LIMIT $1
  `,
}

const LISTS = {
  name: 'indexed-events',
  text: `
    SELECT p.at::integer AS at, v.event FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS p (path, value, at)
    CROSS JOIN LATERAL (
      SELECT i.event FROM payload_value AS i
      WHERE i.path = p.path AND i.value = p.value AND i.event < $3 AND i.event >= $4 ORDER BY i.event DESC LIMIT $5
    ) AS v ORDER BY p.at, v.event DESC`,
}

/** How the index of values in payloads answers a filter; undefined: it does not help. */
export function createMatchPlan(connections: Connections) {
  return async (filter: EventFilter): Promise<MatchPlan | undefined> => {
    if (filter.match === undefined || filter.match.length === 0) return undefined
    const rows = await connections.run<PathRow>('read', PATHS)
    if (rows.length === 0) return undefined
    const sources =
      filter.source === undefined ? await connections.run<{ source: string }>('read', SOURCES, [rows.length + 1]) : []
    return planMatch(
      filter,
      rows,
      sources.map(({ source }) => source),
    )
  }
}

export interface CandidateRow extends Row {
  readonly received_at: number
  readonly key: number
  readonly size: number
}

const COLUMNS = 'SELECT event.received_at, event.key, event.size FROM'
/** The events of some keys, found by these whatever else is asked for: `OFFSET 0` keeps the planner from other indexes. Its value comes first. */
const BY_KEYS = '(SELECT * FROM event WHERE key = ANY (?::bigint[]) OFFSET 0) AS event'
const byKeys = (keys: readonly number[]): Condition<Value> => ['event.key IS NOT NULL', keys]

/** For each pair of path and value, the events that have it, the greatest key first. */
async function listsOf(
  connections: Connections,
  pairs: readonly (readonly [id: number, value: string])[],
  before: number,
  first: number,
  limit: number,
): Promise<readonly number[][]> {
  const rows = await connections.run<{ at: number; event: number }>('read', LISTS, [
    pairs.map(([id]) => id),
    pairs.map(([, value]) => escapeText(value)),
    before,
    first,
    limit,
  ])
  return pairs.map((_, at) => rows.filter((row) => row.at === at + 1).map(({ event }) => event))
}

/** How many times a search by the index alone looks into it for one page. */
const MAX_LOOKS = 8

/**
 * Lists events by the index alone, those that arrived last first: for a filter with one condition on payloads, and an index that has all
 * events. Undefined: some events have to be read to know their values.
 */
export function createSearchIndexed(connections: Connections) {
  return async (
    { ids, value }: MatchPlan,
    filter: EventFilter,
    start: Position,
    limit: number,
  ): Promise<PageRows<EventRow> | undefined> => {
    const pairs = ids.flatMap((id) => [value, TO_BE_READ].map((each) => [id, each] as const))
    const rows: EventRow[] = []
    let before = start.key
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const lists = await listsOf(connections, pairs, before, 0, Math.max(limit, MAX_INDEXED))
      if (lists.some((list, at) => at % 2 === 1 && list.length > 0)) return undefined
      const { keys, isEnd } = mergeKeys(lists, Math.max(limit, MAX_INDEXED))
      const conditions: Condition<Value>[] = [byKeys(keys), ...eventConditions(filter)]
      const columns = `SELECT ${EVENT_COLUMNS} FROM ${BY_KEYS}`
      if (keys.length > 0)
        rows.push(
          ...(await select<EventRow>(connections, columns, conditions, 'ORDER BY event.key DESC LIMIT ?', [
            limit - rows.length,
          ])),
        )
      if (rows.length >= limit || isEnd) return { rows, end: undefined }
      before = keys.at(-1) ?? 0
    }
    return { rows, end: { atMs: 0, key: before } }
  }
}

/** Finds candidates by the index of values in payloads, those that arrived last first. */
export function createIndexCandidates(connections: Connections) {
  const wanted = (filter: EventFilter, from: string, keys: readonly Condition<Value>[], limit: number) =>
    select<CandidateRow>(
      connections,
      `${COLUMNS} ${from}`,
      [...keys, ...eventConditions(filter)],
      'ORDER BY event.key DESC LIMIT ?',
      [limit],
    )

  /** Events before those that the index has. */
  async function unindexed(filter: EventFilter, before: number, limit: number) {
    const down = Math.max(0, before - UNINDEXED_KEYS)
    const rows = await wanted(
      filter,
      'event',
      [
        ['event.key < ?', before],
        ['event.key >= ?', down],
      ],
      limit,
    )
    const last = rows.length === limit ? rows.at(-1)?.key : down
    return { rows, end: last === undefined || last === 0 ? undefined : { atMs: 0, key: last } }
  }

  return async (
    { ids, value, from: first }: MatchPlan,
    filter: EventFilter,
    { key: before }: Position,
    limit: number,
  ): Promise<{ readonly rows: readonly CandidateRow[]; readonly end: Position | undefined }> => {
    if (before <= first) return unindexed(filter, before, limit)
    const pairs = ids.flatMap((id) => [value, TO_BE_READ].map((each) => [id, each] as const))
    const lists = await listsOf(connections, pairs, before, first, limit)
    const { keys, isEnd } = mergeKeys(lists, limit)
    const rows = keys.length === 0 ? [] : await wanted(filter, BY_KEYS, [byKeys(keys)], keys.length)
    if (!isEnd) return { rows, end: { atMs: 0, key: keys.at(-1) ?? 0 } }
    return { rows, end: first > 0 ? { atMs: 0, key: first } : undefined }
  }
}
