import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { DeliverySummary } from '../../domain/delivery.ts'
import type { DeliveryFilter, Page, PageRequest } from '../../domain/store.ts'
import { cursorOf, type Position, startOf } from '../common/cursor.ts'
import { eventKeyOf, firstDeliveryKey, lastDeliveryKey } from '../common/keys.ts'
import { deliverySummaryOf, type Row } from './rows.ts'
import { unlessDamaged } from './sqlite-errors.ts'
import { type Condition, StatementCache } from './statement-cache.ts'

/** Deliveries looked at for one page where no index answers the filter; the page is then short, and has a cursor. */
const MAX_LOOKED_AT = 50_000

/** Deliveries, those of the newest event first; dead ones by their death, the last first. */
export function prepareSearchDeliveries(db: DatabaseSync) {
  const statements = new StatementCache(db)
  const findEvent = db.prepare('SELECT key FROM event WHERE uid = ?')
  const eventOf = db.prepare('SELECT uid, source, type FROM event WHERE key = ?')
  const fewPending = prepareFew(db, 'pending')

  return (filter: DeliveryFilter, page: PageRequest): Page<DeliverySummary> => {
    const isDead = filter.state === 'dead'
    const list = isDead ? 'dead' : 'deliveries'
    const start = startOf(list, page)
    const ofEvent = filter.eventUid === undefined ? [] : eventRange(filter.eventUid)
    if (ofEvent === undefined) return { items: [], nextCursor: undefined }
    const conditions: Condition[] = [...(isDead ? diedBefore(start) : keyBefore(start)), ...ofEvent, ...checked(filter)]
    const index = ofEvent.length > 0 ? undefined : indexFor(filter)
    const end = ofEvent.length > 0 || index !== undefined ? undefined : lowest(start.key, filter)
    if (end !== undefined) conditions.push(['d.key >= ?', end.key])

    const select = (columns: string, join: string) =>
      statements.all(
        `SELECT d.key, d.handler, d.state, d.attempts, d.due_at, d.last_error ${columns}
         FROM delivery AS d ${index === undefined ? 'NOT INDEXED' : `INDEXED BY ${index}`} ${join}`,
        conditions,
        `ORDER BY ${isDead ? 'd.due_at DESC, d.key DESC' : 'd.key DESC'} LIMIT ?`,
        [page.limit + 1],
      )
    const joined = () => select(', e.uid, e.source, e.type', 'CROSS JOIN event AS e ON e.key = d.key / 1024')
    const rows = filter.source === undefined ? (unlessDamaged(joined) ?? select('', '')) : joined()
    const shown = rows.slice(0, page.limit)
    const last = rows.length > page.limit ? positionOf(shown.at(-1), isDead) : end
    return { items: shown.flatMap(withEvent).map(deliverySummaryOf), nextCursor: last && cursorOf(list, last) }
  }

  /** None where its event lies on a damaged page. */
  function withEvent(row: Row): readonly Row[] {
    if ('uid' in row) return [row]
    const event = unlessDamaged(() => eventOf.get(eventKeyOf(Number(row.key))))
    return event === undefined ? [] : [{ ...row, ...event }]
  }

  /** Undefined if there is no such event. */
  function eventRange(uid: string): readonly Condition[] | undefined {
    const event = findEvent.get(uid)
    if (event === undefined) return undefined
    const key = Number(event.key)
    return [['d.key BETWEEN ? AND ?', firstDeliveryKey(key), lastDeliveryKey(key)]]
  }

  function indexFor({ state }: DeliveryFilter): string | undefined {
    if (state === 'dead') return 'delivery_died'
    if (state === 'running') return 'delivery_running'
    return state === 'pending' && fewPending() ? 'delivery_pending' : undefined
  }

  /** The last delivery that may be looked at; undefined if all may. */
  function lowest(before: number, { state, handler, source }: DeliveryFilter): Position | undefined {
    if (state === undefined && handler === undefined && source === undefined) return undefined
    const [row] = statements.all(
      'SELECT key FROM delivery',
      [['key < ?', before]],
      'ORDER BY key DESC LIMIT 1 OFFSET ?',
      [MAX_LOOKED_AT - 1],
    )
    return positionOf(row, false)
  }
}

const positionOf = (row: Row | undefined, isDead: boolean): Position | undefined =>
  row && { atMs: isDead ? Number(row.due_at) : 0, key: Number(row.key) }

const keyBefore = ({ key }: Position): readonly Condition[] => [['d.key < ?', key]]

const diedBefore = ({ atMs, key }: Position): readonly Condition[] => [
  ['d.due_at <= ?', atMs],
  ['(d.due_at < ? OR d.key < ?)', atMs, key],
]

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
