import type { DeliverySummary } from '../../domain/delivery.ts'
import type { DeliveryFilter } from '../../domain/delivery-queue.ts'
import type { Page, PageRequest } from '../../domain/page.ts'
import {
  CAUSE_ID,
  type DeliveryRow,
  deliveryPosition,
  deliverySummaryOf,
  firstDeliveryKey,
  isInState,
  lastDeliveryKey,
} from '../shared/deliveries.ts'
import { type Condition, cutPage, MAX_DELIVERIES_READ, optional, type Position, startOf } from '../shared/list-pages.ts'
import { type Connections, select, type Value } from './connections.ts'
import { causeKeysOf } from './dead-letters.ts'
import { escapeText, isUuid } from './escape-text.ts'

type ListedRow = DeliveryRow & Readonly<{ uid: string; source: string; type: string }>

/** Lists deliveries, those of the newest event first; dead deliveries by the time at which they died, the latest first. */
export function createSearchDeliveries(connections: Connections) {
  return async (filter: DeliveryFilter, page: PageRequest): Promise<Page<DeliverySummary>> => {
    const isDead = filter.state === 'dead'
    const list = isDead ? 'dead' : 'deliveries'
    const start = startOf(list, page)
    const ofEvent = filter.eventUid === undefined ? [] : await eventRange(filter.eventUid)
    const causes = await causeKeysOf(connections, filter)
    if (ofEvent === undefined || causes?.length === 0) return { items: [], nextCursor: undefined }
    const end = ofEvent.length > 0 || isIndexed(filter) ? undefined : await lowest(start.key, filter)
    const conditions: Condition<Value>[] = [
      isDead ? ['(d.due_at, d.key) < (?::bigint, ?::bigint)', start.atMs, start.key] : ['d.key < ?', start.key],
      ...ofEvent,
      ...optional<Value>('d.key >= ?', end?.key),
      ...(filter.state === undefined ? [] : [[isInState(filter.state, 'd.state')] as const]),
      ...optional<Value>('d.handler = ?', filter.handler === undefined ? undefined : escapeText(filter.handler)),
      ...optional<Value>('event.source = ?', filter.source === undefined ? undefined : escapeText(filter.source)),
      ...(causes === undefined ? [] : [diedOf(causes, isDead ? { start, limit: page.limit + 1 } : undefined)]),
    ]
    const rows = await select<ListedRow>(
      connections,
      `SELECT d.key, d.handler, d.state, d.attempts, d.due_at, d.last_error, ${CAUSE_ID}, event.uid, event.source, event.type
       FROM delivery AS d JOIN event ON event.key = d.key / 1024`,
      conditions,
      `ORDER BY ${isDead ? 'd.due_at DESC, d.key DESC' : 'd.key DESC'} LIMIT ?`,
      [page.limit + 1],
    )
    const { shown, nextCursor } = cutPage(list, page, { rows, end }, (row) => deliveryPosition(row, isDead))
    return { items: shown.map((row) => deliverySummaryOf(row, row)), nextCursor }
  }

  /** Undefined if there is no such event. */
  async function eventRange(uid: string): Promise<readonly Condition<Value>[] | undefined> {
    const sql = 'SELECT key FROM event WHERE uid = $1'
    const [event] = isUuid(uid) ? await connections.run<{ key: number }>('read', sql, [uid]) : []
    return event && [['d.key BETWEEN ? AND ?', firstDeliveryKey(event.key), lastDeliveryKey(event.key)]]
  }

  /** The last delivery that may be read; undefined if all may. */
  async function lowest(
    before: number,
    { state, handler, source, cause }: DeliveryFilter,
  ): Promise<Position | undefined> {
    if (state === undefined && handler === undefined && source === undefined && cause === undefined) return undefined
    const [row] = await select<DeliveryRow>(
      connections,
      'SELECT key FROM delivery',
      [['key < ?', before], ...(state === 'discarded' ? [["state = 'discarded'"] as const] : [])],
      'ORDER BY key DESC LIMIT 1 OFFSET ?',
      [MAX_DELIVERIES_READ - 1],
    )
    return row && deliveryPosition(row, false)
  }
}

/** Deliveries with one of these causes; of dead ones, the first of each cause that the page may show, which the index gives in order. */
function diedOf(
  causes: readonly number[],
  page: { readonly start: Position; readonly limit: number } | undefined,
): Condition<Value> {
  if (page === undefined) return ['d.cause = ANY (?::bigint[])', causes]
  const ofCause = `(
    SELECT key FROM delivery WHERE state = 'dead' AND cause = ? AND (due_at, key) < (?::bigint, ?::bigint)
    ORDER BY due_at DESC, key DESC LIMIT ?
  )`
  return [
    `d.key IN (${causes.map(() => ofCause).join(' UNION ALL ')})`,
    ...causes.flatMap((cause) => [cause, page.start.atMs, page.start.key, page.limit]),
  ]
}

/** Few deliveries are in these states, and each has an index. */
const isIndexed = ({ state }: DeliveryFilter): boolean => state === 'dead' || state === 'running'
