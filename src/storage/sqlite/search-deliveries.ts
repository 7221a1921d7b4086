import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { DeliverySummary } from '../../domain/delivery.ts'
import type { DeliveryFilter, Page, PageRequest } from '../../domain/store.ts'
import { cursorOf, startOf } from '../common/cursor.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../common/keys.ts'
import { deliverySummaryOf } from './rows.ts'
import { type Condition, StatementCache } from './statement-cache.ts'

/** Deliveries looked at for one page where no index answers the filter; the page is then short, and has a cursor. */
const MAX_LOOKED_AT = 50_000

/** Deliveries, those of the newest event first. */
export function prepareSearchDeliveries(db: DatabaseSync) {
  const statements = new StatementCache(db)
  const findEvent = db.prepare('SELECT key FROM event WHERE uid = ?')
  const fewPending = prepareFew(db, 'pending')

  return (filter: DeliveryFilter, page: PageRequest): Page<DeliverySummary> => {
    const { key: before } = startOf('deliveries', page)
    const ofEvent = filter.eventUid === undefined ? [] : eventRange(filter.eventUid)
    if (ofEvent === undefined) return { items: [], nextCursor: undefined }
    const conditions: Condition[] = [['d.key < ?', before], ...ofEvent, ...checked(filter)]
    const index = ofEvent.length > 0 ? undefined : indexFor(filter)
    const end = ofEvent.length > 0 || index !== undefined ? undefined : lowest(before, filter)
    if (end !== undefined) conditions.push(['d.key >= ?', end])

    const rows = statements.all(
      `SELECT d.key, d.handler, d.state, d.attempts, d.due_at, d.last_error, e.uid, e.source, e.type
       FROM delivery AS d ${index === undefined ? 'NOT INDEXED' : `INDEXED BY ${index}`}
       CROSS JOIN event AS e ON e.key = d.key / 1024`,
      conditions,
      'ORDER BY d.key DESC LIMIT ?',
      [page.limit + 1],
    )
    const shown = rows.slice(0, page.limit)
    const last = rows.length > page.limit ? Number(shown.at(-1)?.key) : end
    return {
      items: shown.map(deliverySummaryOf),
      nextCursor: last === undefined ? undefined : cursorOf('deliveries', { atMs: 0, key: last }),
    }
  }

  /** Undefined if there is no such event. */
  function eventRange(uid: string): readonly Condition[] | undefined {
    const event = findEvent.get(uid)
    if (event === undefined) return undefined
    const key = Number(event.key)
    return [['d.key BETWEEN ? AND ?', firstDeliveryKey(key), lastDeliveryKey(key)]]
  }

  function indexFor({ state }: DeliveryFilter): string | undefined {
    if (state === 'dead') return 'delivery_dead'
    if (state === 'running') return 'delivery_running'
    return state === 'pending' && fewPending() ? 'delivery_pending' : undefined
  }

  /** The last delivery that may be looked at; undefined if all may. */
  function lowest(before: number, { state, handler, source }: DeliveryFilter): number | undefined {
    if (state === undefined && handler === undefined && source === undefined) return undefined
    const [row] = statements.all(
      'SELECT key FROM delivery',
      [['key < ?', before]],
      'ORDER BY key DESC LIMIT 1 OFFSET ?',
      [MAX_LOOKED_AT - 1],
    )
    return row && Number(row.key)
  }
}

function checked({ state, handler, source }: DeliveryFilter): readonly Condition[] {
  const optional = (sql: string, value: SQLInputValue | undefined): Condition[] =>
    value === undefined ? [] : [[sql, value]]
  return [
    // A literal, or the partial indexes could not be used.
    ...(state === undefined ? [] : [[`d.state = '${state}'`] as const]),
    ...optional('d.handler = ?', handler),
    ...optional('e.source = ?', source),
  ]
}

/** Whether so few deliveries are in a state that all of them can be sorted. */
function prepareFew(db: DatabaseSync, state: 'pending'): () => boolean {
  const select = db.prepare('SELECT n FROM tally WHERE state = ?')
  return () => Number(select.get(state)?.n) <= MAX_LOOKED_AT
}
