import { checkEventFilter } from '../../domain/event-filter.ts'
import type { KeyRange, MatchedEvents, ReplayFilter } from '../../domain/replay-jobs.ts'
import { type Condition, optional } from '../shared/list-pages.ts'
import { MAX_DEAD_SORTED, MAX_MATCHES_READ, NO_KEYS } from '../shared/replays.ts'
import { type Connections, type Row, select, type Value } from './connections.ts'
import { escapeText } from './escape-text.ts'
import { eventConditions, timeRange } from './event-conditions.ts'

type MatchRow = Row & { readonly key: number; readonly uid: string }

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

  async function hasFewDead(): Promise<boolean> {
    const [row] = await connections.run<{ n: number }>(
      'read',
      `SELECT count(*)::integer AS n FROM (SELECT FROM delivery WHERE state = 'dead' LIMIT ${MAX_DEAD_SORTED + 1}) AS dead`,
    )
    return (row?.n ?? 0) <= MAX_DEAD_SORTED
  }

  return {
    async range(filter: ReplayFilter): Promise<KeyRange> {
      checkEventFilter(filter)
      const [row] = await select<{ first: number | null; last: number } & Row>(
        connections,
        'SELECT min(key) AS first, max(key) AS last FROM event',
        timeRange(filter),
        '',
        [],
      )
      return row === undefined || row.first === null ? NO_KEYS : { after: row.first - 1, last: row.last }
    },

    async matches(filter: ReplayFilter, range: KeyRange, limit: number): Promise<MatchedEvents> {
      const isSparse = filter.delivery === 'dead' && (await hasFewDead())
      const end = isSparse ? range.last : await windowEnd(range)
      const conditions: Condition<Value>[] = [
        ['event.key > ?::bigint', range.after],
        ['event.key <= ?::bigint', end],
        ...(isSparse ? [[HAS_DEAD] as const] : []),
        ...eventConditions(filter),
        ...deliveryConditions(filter),
      ]
      const events = await select<MatchRow>(
        connections,
        'SELECT key, uid FROM event',
        conditions,
        'ORDER BY key LIMIT ?',
        [limit],
      )
      return { events, readTo: events.length === limit ? (events.at(-1)?.key ?? end) : end }
    },
  }
}

const HAS_DEAD = "event.key IN (SELECT key / 1024 FROM delivery WHERE state = 'dead')"

function deliveryConditions({ handler, delivery, cause }: ReplayFilter): readonly Condition<Value>[] {
  if (handler === undefined && delivery === undefined && cause === undefined) return []
  const of = [
    ...optional<Value>('d.handler = ?', handler === undefined ? undefined : escapeText(handler)),
    ...optional<Value>('d.cause IN (SELECT c.key FROM cause AS c WHERE c.id = ?)', cause),
    ...optional<Value>('d.state = ?', delivery),
  ]
  const where = ['d.key BETWEEN event.key * 1024 AND event.key * 1024 + 1023', ...of.map(([sql]) => sql)].join(' AND ')
  return [[`EXISTS (SELECT FROM delivery AS d WHERE ${where})`, ...of.flatMap(([, ...values]) => values)]]
}
