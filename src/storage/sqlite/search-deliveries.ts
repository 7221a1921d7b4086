import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { DeliverySummary } from '../../domain/delivery.ts'
import type { DeliveryFilter } from '../../domain/delivery-queue.ts'
import type { Page, PageRequest } from '../../domain/page.ts'
import {
  CAUSE_ID,
  type DeliveryRow,
  deliveryPosition,
  deliverySummaryOf,
  eventKeyOf,
  firstDeliveryKey,
  isInState,
  lastDeliveryKey,
} from '../shared/deliveries.ts'
import { cutPage, MAX_DELIVERIES_READ, optional, type PageRows, type Position, startOf } from '../shared/list-pages.ts'
import { prepareCauseKeys } from './dead-letters.ts'
import { IS_OPEN_IN_ORDER } from './delivery-order.ts'
import { unlessDamaged } from './errors.ts'
import { type SqlCondition, StatementCache } from './statement-cache.ts'

/** A delivery with the uid, source and type of its event, if the join could read them. */
type ListedRow = DeliveryRow & Partial<EventNames>
type EventNames = Readonly<{ uid: string; source: string; type: string }>

/** Finds all pending deliveries, those that wait for their turn too, without a walk over the others. */
const IS_PENDING_BY_INDEX = `d.key IN (
  SELECT key FROM delivery INDEXED BY delivery_pending WHERE state = 'pending'
  UNION ALL SELECT key FROM delivery INDEXED BY delivery_order WHERE ${IS_OPEN_IN_ORDER} AND state = 'blocked'
)`
const DIED_LAST = 'ORDER BY d.due_at DESC, d.key DESC LIMIT ?'

interface Wanted {
  readonly filter: DeliveryFilter
  readonly conditions: readonly SqlCondition[]
  readonly limit: number
  readonly isDead: boolean
}

/** Deliveries of these keys. */
interface KeyRange {
  readonly from: number
  readonly to: number
  readonly position: Position | undefined
}

/** Lists deliveries, those of the newest event first; dead deliveries by the time at which they died, the latest first. */
export function prepareSearchDeliveries(db: DatabaseSync) {
  const statements = new StatementCache(db)
  const findEvent = db.prepare('SELECT key FROM event WHERE uid = ?')
  const eventOf = db.prepare('SELECT uid, source, type FROM event WHERE key = ?')
  const fewPending = prepareFewPending(db)
  const causeKeys = prepareCauseKeys(db)

  return (filter: DeliveryFilter, page: PageRequest): Page<DeliverySummary> => {
    const isDead = filter.state === 'dead'
    const list = isDead ? 'dead' : 'deliveries'
    const start = startOf(list, page)
    const ofEvent = filter.eventUid === undefined ? [] : eventRange(findEvent, filter.eventUid)
    const causes = causeKeys(filter)
    if (ofEvent === undefined || causes?.length === 0) return { items: [], nextCursor: undefined }
    const conditions: SqlCondition[] = [
      ...(isDead ? diedBefore(start) : keyBefore(start)),
      ...ofEvent,
      ...checked(filter),
      ...(causes === undefined ? [] : [diedOf(causes, isDead ? { start, limit: page.limit + 1 } : undefined)]),
    ]
    const index = causes === undefined ? indexFor(filter) : undefined
    const wanted = { filter, conditions, limit: page.limit + 1, isDead }
    const search = () => {
      if (index !== undefined)
        return listed(wanted, index, filter.state === 'discarded' ? lowest(statements, start.key, filter) : undefined)
      if (filter.state === 'pending' && fewPending())
        return listed({ ...wanted, conditions: [...conditions, [IS_PENDING_BY_INDEX]] }, undefined, undefined)
      return listed(wanted, undefined, lowest(statements, start.key, filter))
    }
    const found =
      ofEvent.length > 0 || (isDead && causes !== undefined)
        ? listed(wanted, undefined, undefined)
        : (unlessDamaged(search) ?? carefully(wanted, start))
    const { shown, nextCursor } = cutPage(list, page, found, (row) => deliveryPosition(row, isDead))
    return { items: shown.flatMap((row) => summaryOf(row, eventOf)), nextCursor }
  }

  function listed(
    { filter, conditions, limit, isDead }: Wanted,
    index: string | undefined,
    end: Position | undefined,
  ): PageRows<ListedRow> {
    const within: SqlCondition[] = end === undefined ? [...conditions] : [...conditions, ['d.key >= ?', end.key]]
    const select = (columns: string, join: string): ListedRow[] =>
      statements.all(
        `SELECT d.key, d.handler, d.state, d.attempts, d.due_at, d.last_error, ${CAUSE_ID} ${columns}
         FROM delivery AS d ${index === undefined ? 'NOT INDEXED' : `INDEXED BY ${index}`} ${join}`,
        within,
        isDead ? DIED_LAST : 'ORDER BY d.key DESC LIMIT ?',
        [limit],
      ) as ListedRow[]
    const joined = () => select(', e.uid, e.source, e.type', 'CROSS JOIN event AS e ON e.key = d.key / 1024')
    return { rows: filter.source === undefined ? (unlessDamaged(joined) ?? select('', '')) : joined(), end }
  }

  /**
   * Reads the deliveries event by event, or dead delivery by dead delivery, as an index lists them, and leaves out those on
   * damaged pages.
   */
  function carefully(wanted: Wanted, start: Position): PageRows<ListedRow> {
    const places = wanted.isDead ? deaths(statements, start) : eventsBefore(statements, start)
    const rows: ListedRow[] = []
    for (const { from, to } of places) {
      if (rows.length >= wanted.limit) break
      const conditions: SqlCondition[] = [...wanted.conditions, ['d.key BETWEEN ? AND ?', from, to]]
      rows.push(...(unlessDamaged(() => listed({ ...wanted, conditions }, undefined, undefined))?.rows ?? []))
    }
    return { rows, end: places.length < MAX_DELIVERIES_READ ? undefined : places.at(-1)?.position }
  }
}

function indexFor({ state }: DeliveryFilter): string | undefined {
  if (state === 'dead') return 'delivery_died'
  if (state === 'discarded') return 'delivery_discarded'
  return state === 'running' ? 'delivery_running' : undefined
}

/** Empty if the event lies on a damaged page. */
function summaryOf(row: ListedRow, eventOf: StatementSync): readonly DeliverySummary[] {
  const { uid, source, type } = row
  if (uid !== undefined && source !== undefined && type !== undefined)
    return [deliverySummaryOf(row, { uid, source, type })]
  const event = unlessDamaged(() => eventOf.get(eventKeyOf(row.key)))
  return event === undefined ? [] : [deliverySummaryOf(row, event as EventNames)]
}

/** Undefined if there is no such event. */
function eventRange(findEvent: StatementSync, uid: string): readonly SqlCondition[] | undefined {
  const event = findEvent.get(uid)
  if (event === undefined) return undefined
  const key = Number(event.key)
  return [['d.key BETWEEN ? AND ?', firstDeliveryKey(key), lastDeliveryKey(key)]]
}

function deaths(statements: StatementCache, start: Position): readonly KeyRange[] {
  const died: SqlCondition[] = [["d.state = 'dead'"], ...diedBefore(start)]
  const from = 'SELECT d.due_at, d.key FROM delivery AS d INDEXED BY delivery_died'
  return statements.all(from, died, DIED_LAST, [MAX_DELIVERIES_READ]).map((row) => {
    const key = Number(row.key)
    return { from: key, to: key, position: deliveryPosition(row as ListedRow, true) }
  })
}

function eventsBefore(statements: StatementCache, { key: before }: Position): readonly KeyRange[] {
  const from = 'SELECT key FROM event INDEXED BY event_by_uid'
  const last: SqlCondition[] = [['key <= ?', eventKeyOf(before)]]
  return statements.all(from, last, 'ORDER BY key DESC LIMIT ?', [MAX_DELIVERIES_READ]).map((row) => {
    const key = firstDeliveryKey(Number(row.key))
    return { from: key, to: lastDeliveryKey(Number(row.key)), position: { atMs: 0, key } }
  })
}

/** The last delivery that may be read; undefined if all may. */
function lowest(
  statements: StatementCache,
  before: number,
  { state, handler, source, cause }: DeliveryFilter,
): Position | undefined {
  if (state === undefined && handler === undefined && source === undefined && cause === undefined) return undefined
  const isDiscarded = state === 'discarded'
  const [row] = statements.all(
    `SELECT key FROM delivery ${isDiscarded ? 'INDEXED BY delivery_discarded' : ''}`,
    [['key < ?', before], ...(isDiscarded ? [["state = 'discarded'"] as const] : [])],
    'ORDER BY key DESC LIMIT 1 OFFSET ?',
    [MAX_DELIVERIES_READ - 1],
  )
  return row && deliveryPosition(row as DeliveryRow, false)
}

const keyBefore = ({ key }: Position): readonly SqlCondition[] => [['d.key < ?', key]]

const diedBefore = ({ atMs, key }: Position): readonly SqlCondition[] => [
  ['d.due_at <= ?', atMs],
  ['(d.due_at < ? OR d.key < ?)', atMs, key],
]

/**
 * Deliveries with one of these causes; of dead ones, the first of each cause that the page may show, which the index gives in order. A
 * cause has a key for each handler and source.
 */
function diedOf(
  causes: readonly number[],
  page: { readonly start: Position; readonly limit: number } | undefined,
): SqlCondition {
  if (page === undefined) return [`d.cause IN (${causes.map(() => '?').join(', ')})`, ...causes]
  const { start, limit } = page
  const ofCause = `SELECT key FROM (
    SELECT key FROM delivery INDEXED BY delivery_cause WHERE state = 'dead' AND cause = ? AND due_at <= ? AND (due_at < ? OR key < ?)
    ORDER BY due_at DESC, key DESC LIMIT ?
  )`
  return [
    `d.key IN (${causes.map(() => ofCause).join(' UNION ALL ')})`,
    ...causes.flatMap((cause) => [cause, start.atMs, start.atMs, start.key, limit]),
  ]
}

function checked({ state, handler, source }: DeliveryFilter): readonly SqlCondition[] {
  return [
    // A literal, because SQLite could not use the partial indexes with a bound value.
    ...(state === undefined ? [] : [[isInState(state, 'd.state')] as const]),
    ...optional<SQLInputValue>('d.handler = ?', handler),
    ...optional<SQLInputValue>('e.source = ?', source),
  ]
}

/** Whether so few deliveries are pending that all of them can be sorted. */
function prepareFewPending(db: DatabaseSync): () => boolean {
  const select = db.prepare("SELECT n FROM tally WHERE state = 'pending'")
  return () => Number(select.get()?.n) <= MAX_DELIVERIES_READ
}
