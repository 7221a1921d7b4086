import type { DatabaseSync } from 'node:sqlite'
import type { EventFilter } from '../../domain/event-filter.ts'
import { TO_BE_READ } from '../../domain/payload-index.ts'
import type { PageRows, Position } from '../shared/list-pages.ts'
import { type MatchPlan, mergeKeys, type PathRow, planMatch, UNINDEXED_KEYS } from '../shared/payload-plan.ts'
import { eventConditions } from './event-conditions.ts'
import type { StatementCache } from './statement-cache.ts'

/** Events that may match a filter, those that arrived last first. */
export type Candidates = (filter: EventFilter, from: Position, limit: number) => PageRows<Position>

/** Finds candidates by the index of values in payloads. */
export function prepareIndexCandidates(db: DatabaseSync, statements: StatementCache) {
  const paths = db.prepare('SELECT id, source, path, complete_from FROM payload_path')
  const nextSource = db.prepare('SELECT source FROM event WHERE source > ? ORDER BY source LIMIT 1')
  const indexed = db.prepare(
    'SELECT event FROM payload_value WHERE path = ? AND value = ? AND event < ? AND event >= ? ORDER BY event DESC LIMIT ?',
  )

  /** Undefined: the index does not help. */
  function plan(filter: EventFilter): MatchPlan | undefined {
    if (filter.match === undefined) return undefined
    const rows = paths.all() as PathRow[]
    return rows.length === 0 ? undefined : planMatch(filter, rows, filter.source === undefined ? sources(rows) : [])
  }

  /** Those that have events; not all, if there are more than have paths. */
  function sources(rows: readonly PathRow[]): readonly string[] {
    const found: string[] = []
    for (let row = nextSource.get(''); row !== undefined && found.length <= rows.length; ) {
      found.push(String(row.source))
      row = nextSource.get(String(row.source))
    }
    return found
  }

  const candidatesOf =
    ({ ids, value, from: first }: MatchPlan): Candidates =>
    (filter, { key: before }, limit) => {
      if (before <= first) return unindexed(filter, before, limit)
      const lists = ids.flatMap((id) =>
        [value, TO_BE_READ].map((each) =>
          indexed.all(id, each, before, first, limit).map(({ event }) => Number(event)),
        ),
      )
      const { keys, isEnd } = mergeKeys(lists, limit)
      const rows = keys.filter((key) => isWanted(filter, key)).map((key) => ({ atMs: 0, key }))
      if (!isEnd) return { rows, end: { atMs: 0, key: keys.at(-1) ?? 0 } }
      return { rows, end: first > 0 ? { atMs: 0, key: first } : undefined }
    }

  const isWanted = (filter: EventFilter, key: number): boolean =>
    statements.all('SELECT 1 FROM event', [['event.key = ?', key], ...eventConditions(filter)], '', []).length > 0

  /** Events before those that the index has. */
  function unindexed(filter: EventFilter, before: number, limit: number): PageRows<Position> {
    const down = Math.max(0, before - UNINDEXED_KEYS)
    const rows = statements
      .all(
        'SELECT event.key FROM event',
        [['event.key < ?', before], ['event.key >= ?', down], ...eventConditions(filter)],
        'ORDER BY event.key DESC LIMIT ?',
        [limit],
      )
      .map(({ key }) => ({ atMs: 0, key: Number(key) }))
    return { rows, end: rows.length === limit ? rows.at(-1) : down > 0 ? { atMs: 0, key: down } : undefined }
  }

  return { plan, candidatesOf }
}
