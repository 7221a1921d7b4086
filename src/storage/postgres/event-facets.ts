import {
  checkCountedFilter,
  countsOfNewest,
  type EventFacets,
  MAX_COUNTED,
  MAX_DELIVERIES_OF,
  MAX_RETRYING_READ,
  MAX_SUGGESTED,
  MAX_WAITING_COUNTED,
  retryingOf,
  waitingOf,
} from '../../domain/event-facets.ts'
import { checkEventFilter, type EventFilter } from '../../domain/event-filter.ts'
import { type DeliveryOfEvent, deliverySummaryOf, MAX_DELIVERIES_PER_EVENT } from '../shared/deliveries.ts'
import { type Condition, MAX_DELIVERIES_READ } from '../shared/list-pages.ts'
import { DRIVEN_APART, END_OF_KEYS, OUTCOME_RANK } from '../shared/outcomes.ts'
import type { DatabaseClock } from './clock.ts'
import { type Connections, select, type Value } from './connections.ts'
import { escapeText, isUuid } from './escape-text.ts'
import { eventConditions, timeRange } from './event-conditions.ts'
import type { Operations } from './open-operations.ts'
import { createSearchOutcomes } from './search-outcomes.ts'

const NEWEST_FIRST = 'ORDER BY received_at DESC, key DESC'
const SOURCES = {
  name: 'names-of-sources',
  text: `
    WITH RECURSIVE found AS (
      SELECT (SELECT e.source FROM event AS e WHERE e.source >= $1 ORDER BY e.source LIMIT 1) AS name
      UNION ALL SELECT (SELECT e.source FROM event AS e WHERE e.source > found.name ORDER BY e.source LIMIT 1) FROM found
      WHERE found.name IS NOT NULL
    ) SELECT name FROM found WHERE name IS NOT NULL LIMIT 256`,
}
const TYPES = {
  name: 'names-of-types',
  text: `
    WITH RECURSIVE found AS (
      SELECT s.source, (
        SELECT e.type FROM event AS e WHERE e.source = s.source AND e.type >= $1 ORDER BY e.type LIMIT 1
      ) AS name, 1 AS n FROM unnest($2::text[]) AS s (source)
      UNION ALL SELECT found.source, (
        SELECT e.type FROM event AS e WHERE e.source = found.source AND e.type > found.name ORDER BY e.type LIMIT 1
      ), found.n + 1 FROM found WHERE starts_with(found.name, $1) AND found.n < ${MAX_SUGGESTED}
    ) SELECT DISTINCT name FROM found WHERE starts_with(name, $1) ORDER BY name LIMIT ${MAX_SUGGESTED}`,
}
const DELIVERIES = {
  name: 'deliveries-of-events',
  text: `
    SELECT e.uid, e.source, e.type, d.* FROM event AS e CROSS JOIN LATERAL (
      SELECT key, handler, state, due_at, attempts, last_error FROM delivery
      WHERE key BETWEEN e.key * ${MAX_DELIVERIES_PER_EVENT} AND e.key * ${MAX_DELIVERIES_PER_EVENT} + ${MAX_DELIVERIES_PER_EVENT - 1} ORDER BY key LIMIT ${MAX_DELIVERIES_OF}
    ) AS d WHERE e.uid = ANY ($1::uuid[]) LIMIT ${MAX_DELIVERIES_OF}`,
}
const COUNTED = MAX_WAITING_COUNTED + 1
const oldest = (isolated: boolean): string => `(
  SELECT q.due_at FROM delivery AS q WHERE q.state = 'pending' AND q.handler = h.name AND q.isolated = ${isolated}
  ORDER BY q.due_at, q.key LIMIT 1
)`
/** Times by this process's clock. */
const WAITING = {
  name: 'waiting',
  text: `
    SELECT h.name AS handler, p.n AS pending, b.n AS blocked, b.open, clock_1($2) AS now, least(${oldest(false)}, ${oldest(true)}) AS due_at
    FROM unnest($1::text[]) WITH ORDINALITY AS h (name, at)
    CROSS JOIN LATERAL (
      SELECT count(*)::integer AS n FROM (
        SELECT FROM delivery AS q WHERE q.state = 'pending' AND q.handler = h.name LIMIT ${COUNTED}
      ) AS counted
    ) AS p
    CROSS JOIN LATERAL (
      SELECT count(*) FILTER (WHERE counted.state IN ('blocked', 'unplaced'))::integer AS n, count(*)::integer AS open FROM (
        SELECT q.state FROM delivery AS q
        WHERE q.order_key IS NOT NULL AND q.state IN ('pending', 'running', 'blocked', 'unplaced') AND q.handler = h.name
        LIMIT ${COUNTED}
      ) AS counted
    ) AS b
    ORDER BY h.at`,
}

const RETRYING = {
  name: 'retrying',
  text: `
    SELECT g.handler, g.n, e.received_at FROM (
      SELECT handler, count(*)::integer AS n, min(key) AS oldest FROM (
        SELECT key, handler FROM delivery WHERE state = 'pending' AND attempts > 0 ORDER BY key LIMIT ${MAX_RETRYING_READ}
      ) AS found GROUP BY handler
    ) AS g LEFT JOIN event AS e ON e.key = g.oldest / ${MAX_DELIVERIES_PER_EVENT} ORDER BY g.handler`,
}

type WaitingRow = Readonly<{
  handler: string
  pending: number
  blocked: number
  open: number
  now: number
  due_at: number | null
}>

export function createEventFacets(connections: Connections, clock: DatabaseClock, operations: Operations): EventFacets {
  const byOutcome = createSearchOutcomes(connections)
  const sourcesFrom = async (prefix: string): Promise<readonly string[]> =>
    (await connections.run<{ name: string }>('read', SOURCES, [prefix])).map(({ name }) => name)

  return {
    deliveriesOf: operations.while(async (uids: readonly string[]) => {
      const rows = await connections.run<DeliveryOfEvent>('read', DELIVERIES, [uids.filter(isUuid)])
      return rows.map((row) => deliverySummaryOf(row, row))
    }),

    countByOutcome: operations.while(async (filter: EventFilter) => {
      checkEventFilter(filter)
      checkCountedFilter(filter)
      const [last] = await select<{ received_at: number }>(
        connections,
        'SELECT received_at FROM event',
        timeRange(filter),
        `${NEWEST_FIRST} LIMIT 1 OFFSET ?`,
        [MAX_DELIVERIES_READ],
      )
      const after: readonly Condition<Value>[] = last === undefined ? [] : [['received_at >= ?', last.received_at]]
      const ranks = await select<{ rank: number; n: number }>(
        connections,
        `SELECT rank, count(*)::integer AS n FROM (SELECT ${OUTCOME_RANK} AS rank FROM event`,
        [...eventConditions(filter), ...after],
        `${NEWEST_FIRST} LIMIT ?) AS newest GROUP BY rank`,
        [MAX_COUNTED],
      )
      const isWhole = last === undefined && ranks.reduce((sum, { n }) => sum + n, 0) < MAX_COUNTED
      const counts = { ...countsOfNewest(ranks, isWhole) }
      if (isWhole) return counts
      for (const outcome of DRIVEN_APART) {
        const { rows, end } = await byOutcome(
          { ...filter, outcome },
          { atMs: 0, key: END_OF_KEYS - 1 },
          MAX_COUNTED + 1,
        )
        const count = Math.min(rows.length, MAX_COUNTED)
        counts[outcome] = { count, more: end !== undefined || rows.length > MAX_COUNTED }
      }
      return counts
    }),

    namesWith: operations.while(async (field: 'source' | 'type', prefix: string) => {
      const text = escapeText(prefix)
      if (field === 'source') {
        const names = await sourcesFrom(text)
        return names.filter((name) => name.startsWith(prefix)).slice(0, MAX_SUGGESTED)
      }
      const rows = await connections.run<{ name: string }>('read', TYPES, [text, await sourcesFrom('')])
      return rows.map(({ name }) => name)
    }),

    ...createWaiting(connections, clock, operations),
  }
}

function createWaiting(
  connections: Connections,
  clock: DatabaseClock,
  operations: Operations,
): Pick<EventFacets, 'waiting' | 'retrying'> {
  return {
    waiting: operations.while(async (handlers: readonly string[]) => {
      const rows = await connections.run<WaitingRow>('read', WAITING, [handlers.map(escapeText), clock.givenMs()])
      return rows.map(({ pending, blocked, open, now, due_at: dueAt }, at) =>
        waitingOf({
          handler: handlers[at] ?? '',
          pending,
          blocked,
          open,
          dueSinceMs: dueAt === null || dueAt > now ? undefined : clock.localMs() + dueAt - now,
        }),
      )
    }),

    retrying: operations.while(async () => {
      const rows = await connections.run<{ handler: string; n: number; received_at: number | null }>(
        'read',
        RETRYING,
        [],
      )
      return retryingOf(rows.map(({ handler, n, received_at: receivedAtMs }) => ({ handler, n, receivedAtMs })))
    }),
  }
}
