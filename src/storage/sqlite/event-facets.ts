import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { DeliverySummary } from '../../domain/delivery.ts'
import {
  checkCountedFilter,
  countsOfNewest,
  MAX_COUNTED,
  MAX_DELIVERIES_OF,
  MAX_RETRYING_READ,
  MAX_SUGGESTED,
  MAX_WAITING_COUNTED,
  type OutcomeCounts,
  type Retrying,
  retryingOf,
  type Waiting,
  waitingOf,
} from '../../domain/event-facets.ts'
import { checkEventFilter, type EventFilter } from '../../domain/event-filter.ts'
import { type DeliveryOfEvent, deliverySummaryOf, MAX_DELIVERIES_PER_EVENT } from '../shared/deliveries.ts'
import { MAX_DELIVERIES_READ } from '../shared/list-pages.ts'
import { DRIVEN_APART, END_OF_KEYS, OUTCOME_RANK } from '../shared/outcomes.ts'
import { IS_OPEN_IN_ORDER } from './delivery-order.ts'
import { unlessDamaged } from './errors.ts'
import { eventConditions, timeRange } from './event-conditions.ts'
import { prepareSearchOutcomes } from './search-outcomes.ts'
import { StatementCache } from './statement-cache.ts'

const NEWEST_FIRST = 'ORDER BY received_at DESC, key DESC'
const SOURCES = `
  WITH RECURSIVE found (name) AS (
    SELECT (SELECT source FROM event WHERE source >= ?1 ORDER BY source LIMIT 1)
    UNION ALL SELECT (SELECT source FROM event WHERE source > found.name ORDER BY source LIMIT 1) FROM found
    WHERE found.name IS NOT NULL
  ) SELECT name FROM found WHERE name IS NOT NULL`
const TYPES = `
  WITH RECURSIVE found (source, name, n) AS (
    SELECT s.value, (SELECT type FROM event WHERE event.source = s.value AND type >= ?1 ORDER BY type LIMIT 1), 1
    FROM json_each(?2) AS s
    UNION ALL SELECT found.source, (
      SELECT type FROM event WHERE event.source = found.source AND type > found.name ORDER BY type LIMIT 1
    ), n + 1 FROM found WHERE substr(found.name, 1, length(?1)) = ?1 AND n < ${MAX_SUGGESTED}
  ) SELECT DISTINCT name FROM found WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name LIMIT ${MAX_SUGGESTED}`
const DELIVERIES = `
  SELECT e.uid, e.source, e.type, d.key, d.handler, d.state, d.due_at, d.attempts, d.last_error
  FROM json_each(?) AS j CROSS JOIN event AS e ON e.uid = j.value
  CROSS JOIN delivery AS d ON d.key BETWEEN e.key * ${MAX_DELIVERIES_PER_EVENT} AND e.key * ${MAX_DELIVERIES_PER_EVENT} + ${MAX_DELIVERIES_PER_EVENT - 1}
  LIMIT ${MAX_DELIVERIES_OF}`
const COUNTED = MAX_WAITING_COUNTED + 1
const OLDEST = "SELECT min(due_at) FROM delivery WHERE state = 'pending' AND handler = h.value AND isolated"
const WAITING = `
  SELECT h.value AS handler, (
    SELECT count(*) FROM (
      SELECT 1 FROM delivery INDEXED BY delivery_pending WHERE state = 'pending' AND handler = h.value LIMIT ${COUNTED}
    )
  ) AS pending, (
    SELECT json_array(count(*) FILTER (WHERE state = 'blocked'), count(*)) FROM (
      SELECT state FROM delivery INDEXED BY delivery_order WHERE ${IS_OPEN_IN_ORDER} AND handler = h.value LIMIT ${COUNTED}
    )
  ) AS in_order, (${OLDEST} = 0) AS due_shared, (${OLDEST} = 1) AS due_isolated
  FROM json_each(?) AS h ORDER BY h.key`
const RETRYING = `
  SELECT handler, n, (SELECT received_at FROM event WHERE event.key = oldest / ${MAX_DELIVERIES_PER_EVENT}) AS received_at FROM (
    SELECT handler, count(*) AS n, min(key) AS oldest FROM (
      SELECT key, handler FROM delivery INDEXED BY delivery_failing WHERE state = 'pending' AND attempts > 0
      ORDER BY key LIMIT ${MAX_RETRYING_READ}
    ) GROUP BY handler
  ) ORDER BY handler`
/** Sources whose types are looked up. */
const MAX_SOURCES = 256

export function prepareEventFacets(db: DatabaseSync) {
  const statements = new StatementCache(db)
  const byOutcome = prepareSearchOutcomes(statements)
  const sources = db.prepare(`${SOURCES} LIMIT ${MAX_SOURCES}`)
  const types = db.prepare(TYPES)
  const deliveries = db.prepare(DELIVERIES)

  return {
    deliveriesOf(uids: readonly string[]): readonly DeliverySummary[] {
      const rows = unlessDamaged(() => deliveries.all(JSON.stringify(uids)) as DeliveryOfEvent[]) ?? []
      return rows.map((row) => deliverySummaryOf(row, row))
    },

    countByOutcome(filter: EventFilter): OutcomeCounts {
      checkEventFilter(filter)
      checkCountedFilter(filter)
      const [last] = statements.all(
        'SELECT received_at FROM event',
        timeRange(filter),
        `${NEWEST_FIRST} LIMIT 1 OFFSET ?`,
        [MAX_DELIVERIES_READ],
      )
      const after = last === undefined ? [] : [['received_at >= ?', Number(last.received_at)] as const]
      const ranks = statements
        .all(
          `SELECT rank, count(*) AS n FROM (SELECT ${OUTCOME_RANK} AS rank FROM event`,
          [...eventConditions(filter), ...after],
          `${NEWEST_FIRST} LIMIT ?) GROUP BY rank`,
          [MAX_COUNTED] satisfies SQLInputValue[],
        )
        .map((row) => ({ rank: Number(row.rank), n: Number(row.n) }))
      const isWhole = last === undefined && ranks.reduce((sum, { n }) => sum + n, 0) < MAX_COUNTED
      const counts = countsOfNewest(ranks, isWhole)
      if (isWhole) return counts
      const driven = DRIVEN_APART.map((outcome) => {
        const { rows, end } = byOutcome({ ...filter, outcome }, { atMs: 0, key: END_OF_KEYS - 1 }, MAX_COUNTED + 1)
        const count = Math.min(rows.length, MAX_COUNTED)
        return [outcome, { count, more: end !== undefined || rows.length > MAX_COUNTED }] as const
      })
      return { ...counts, ...Object.fromEntries(driven) }
    },

    namesWith(field: 'source' | 'type', prefix: string): readonly string[] {
      const rows =
        field === 'source'
          ? sources.all(prefix)
          : types.all(prefix, JSON.stringify(sources.all('').map(({ name }) => name)))
      const names = rows.map(({ name }) => String(name))
      return names.filter((name) => name.startsWith(prefix)).slice(0, MAX_SUGGESTED)
    },

    ...prepareWaiting(db),
  }
}

function prepareWaiting(db: DatabaseSync) {
  const waiting = db.prepare(WAITING)
  const retrying = db.prepare(RETRYING)

  return {
    waiting(handlers: readonly string[], nowMs: number): readonly Waiting[] {
      return waiting.all(JSON.stringify(handlers)).map((row) => {
        const due = [row.due_shared, row.due_isolated].filter((ms) => typeof ms === 'number' && ms <= nowMs).map(Number)
        const [blocked, open] = JSON.parse(String(row.in_order)) as [number, number]
        return waitingOf({
          handler: String(row.handler),
          pending: Number(row.pending),
          blocked,
          open,
          dueSinceMs: due.length === 0 ? undefined : Math.min(...due),
        })
      })
    },

    retrying(): readonly Retrying[] {
      return retryingOf(
        retrying.all().map((row) => ({
          handler: String(row.handler),
          n: Number(row.n),
          receivedAtMs: row.received_at === null ? null : Number(row.received_at),
        })),
      )
    },
  }
}
