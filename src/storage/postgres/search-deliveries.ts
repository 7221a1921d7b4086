import type { DeliverySummary } from '../../domain/delivery.ts'
import type { DeliveryFilter, Page, PageRequest } from '../../domain/store.ts'
import { cursorOf, type Position, startOf } from '../records/cursor.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../records/keys.ts'
import { type Condition, optional, select } from './conditions.ts'
import type { Connections } from './connections.ts'
import { escapeText, isUuid } from './escape-text.ts'
import { type DeliveryRow, deliverySummaryOf } from './rows.ts'

/** Deliveries looked at for one page where no index answers the filter; the page is then short, and has a cursor. */
const MAX_LOOKED_AT = 50_000

interface ListedRow extends DeliveryRow {
  readonly uid: string
  readonly source: string
  readonly type: string
}

/** Deliveries, those of the newest event first; dead ones by their death, the last first. */
export function createSearchDeliveries(connections: Connections) {
  return async (filter: DeliveryFilter, page: PageRequest): Promise<Page<DeliverySummary>> => {
    const isDead = filter.state === 'dead'
    const list = isDead ? 'dead' : 'deliveries'
    const start = startOf(list, page)
    const ofEvent = filter.eventUid === undefined ? [] : await eventRange(filter.eventUid)
    if (ofEvent === undefined) return { items: [], nextCursor: undefined }
    const end = ofEvent.length > 0 || isIndexed(filter) ? undefined : await lowest(start.key, filter)
    const conditions: Condition[] = [
      isDead ? ['(d.due_at, d.key) < (?::bigint, ?::bigint)', start.atMs, start.key] : ['d.key < ?', start.key],
      ...ofEvent,
      ...optional('d.key >= ?', end?.key),
      ...optional('d.state = ?', filter.state),
      ...optional('d.handler = ?', filter.handler === undefined ? undefined : escapeText(filter.handler)),
      ...optional('event.source = ?', filter.source === undefined ? undefined : escapeText(filter.source)),
    ]
    const rows = await select<ListedRow>(
      connections,
      `SELECT d.key, d.handler, d.state, d.attempts, d.due_at, d.last_error, event.uid, event.source, event.type
       FROM delivery AS d JOIN event ON event.key = d.key / 1024`,
      conditions,
      `ORDER BY ${isDead ? 'd.due_at DESC, d.key DESC' : 'd.key DESC'} LIMIT ?`,
      [page.limit + 1],
    )
    const shown = rows.slice(0, page.limit)
    const last = rows.length > page.limit ? positionOf(shown.at(-1), isDead) : end
    return { items: shown.map((row) => deliverySummaryOf(row, row)), nextCursor: last && cursorOf(list, last) }
  }

  /** Undefined if there is no such event. */
  async function eventRange(uid: string): Promise<readonly Condition[] | undefined> {
    const sql = 'SELECT key FROM event WHERE uid = $1'
    const [event] = isUuid(uid) ? await connections.run<{ key: number }>('read', sql, [uid]) : []
    return event && [['d.key BETWEEN ? AND ?', firstDeliveryKey(event.key), lastDeliveryKey(event.key)]]
  }

  /** The last delivery that may be looked at; undefined if all may. */
  async function lowest(before: number, { state, handler, source }: DeliveryFilter): Promise<Position | undefined> {
    if (state === undefined && handler === undefined && source === undefined) return undefined
    const [row] = await select<DeliveryRow>(
      connections,
      'SELECT key FROM delivery',
      [['key < ?', before]],
      'ORDER BY key DESC LIMIT 1 OFFSET ?',
      [MAX_LOOKED_AT - 1],
    )
    return positionOf(row, false)
  }
}

const positionOf = (row: DeliveryRow | undefined, isDead: boolean): Position | undefined =>
  row && { atMs: isDead ? row.due_at : 0, key: row.key }

/** Both are few, and have an index of their own. */
const isIndexed = ({ state }: DeliveryFilter): boolean => state === 'dead' || state === 'running'
