import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { checkEventFilter } from '../../domain/event-filter.ts'
import type { KeyRange, MatchedEvents, ReplayFilter } from '../../domain/replay-jobs.ts'
import { optional } from '../shared/list-pages.ts'
import { MAX_DEAD_SORTED, MAX_MATCHES_READ, NO_KEYS } from '../shared/replays.ts'
import { eventConditions, timeRange } from './event-conditions.ts'
import { type SqlCondition, StatementCache } from './statement-cache.ts'

const DELIVERIES_OF_EVENT = 'd.key BETWEEN event.key * 1024 AND event.key * 1024 + 1023'

/** Finds the events of a replay job in order of key. */
export function prepareReplayMatches(db: DatabaseSync) {
  const statements = new StatementCache(db)
  const countDead = db.prepare("SELECT n FROM tally WHERE state = 'dead'")

  /** The key of the last row that may be read. */
  function windowEnd({ after, last }: KeyRange): number {
    const [row] = statements.all(
      'SELECT key FROM event',
      [
        ['key > ?', after],
        ['key <= ?', last],
      ],
      'ORDER BY key LIMIT 1 OFFSET ?',
      [MAX_MATCHES_READ - 1],
    )
    return row === undefined ? last : Number(row.key)
  }

  return {
    replayRange(filter: ReplayFilter): KeyRange {
      checkEventFilter(filter)
      const [row] = statements.all('SELECT min(key) AS first, max(key) AS last FROM event', timeRange(filter), '', [])
      return row === undefined || row.first === null
        ? NO_KEYS
        : { after: Number(row.first) - 1, last: Number(row.last) }
    },

    replayMatches(filter: ReplayFilter, range: KeyRange, limit: number): MatchedEvents {
      const isSparse = filter.delivery === 'dead' && Number(countDead.get()?.n) <= MAX_DEAD_SORTED
      const end = isSparse ? range.last : windowEnd(range)
      const conditions: SqlCondition[] = [
        ['event.key > ?', range.after],
        ['event.key <= ?', end],
        ...(isSparse ? [[HAS_DEAD] as const] : []),
        ...eventConditions(filter),
        ...deliveryConditions(filter),
      ]
      const rows = statements.all('SELECT key, uid FROM event', conditions, 'ORDER BY key LIMIT ?', [limit])
      const events = rows.map(({ key, uid }) => ({ key: Number(key), uid: String(uid) }))
      return { events, readTo: events.length === limit ? (events.at(-1)?.key ?? end) : end }
    },
  }
}

const HAS_DEAD = "event.key IN (SELECT key / 1024 FROM delivery INDEXED BY delivery_died WHERE state = 'dead')"

function deliveryConditions({ handler, delivery, cause }: ReplayFilter): readonly SqlCondition[] {
  if (handler === undefined && delivery === undefined && cause === undefined) return []
  const of = [
    ...optional<SQLInputValue>('d.handler = ?', handler),
    ...optional<SQLInputValue>('d.cause IN (SELECT key FROM cause WHERE id = ?)', cause),
    ...(delivery === undefined ? [] : [[`d.state = '${delivery}'`] as const]),
  ]
  const where = [DELIVERIES_OF_EVENT, ...of.map(([sql]) => sql)].join(' AND ')
  return [[`EXISTS (SELECT 1 FROM delivery AS d WHERE ${where})`, ...of.flatMap(([, ...values]) => values)]]
}
