import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { DeliverySummary } from '../../domain/delivery.ts'
import type { DeliveryFilter, Page, PageRequest } from '../../domain/store.ts'
import { cursorOf, type Position, startOf } from '../records/cursor.ts'
import { eventKeyOf, firstDeliveryKey, lastDeliveryKey } from '../records/keys.ts'
import { deliverySummaryOf, type Row } from './rows.ts'
import { unlessDamaged } from './sqlite-errors.ts'
import { type Condition, StatementCache } from './statement-cache.ts'

/** Deliveries looked at for one page where no index answers the filter; the page is then short, and has a cursor. */
const MAX_LOOKED_AT = 50_000

const DIED_LAST = 'ORDER BY d.due_at DESC, d.key DESC LIMIT ?'

interface Wanted {
  readonly filter: DeliveryFilter
  readonly conditions: readonly Condition[]
  readonly limit: number
  readonly isDead: boolean
}

/** `end`: the last that was looked at, if not all were. */
interface Listed {
  readonly rows: readonly Row[]
  readonly end: Position | undefined
}

/** Deliveries of these keys. */
interface Place {
  readonly from: number
  readonly to: number
  readonly position: Position | undefined
}

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
    const ofEvent = filter.eventUid === undefined ? [] : eventRange(findEvent, filter.eventUid)
    if (ofEvent === undefined) return { items: [], nextCursor: undefined }
    const conditions: Condition[] = [...(isDead ? diedBefore(start) : keyBefore(start)), ...ofEvent, ...checked(filter)]
    const index = indexFor(filter)
    const wanted = { filter, conditions, limit: page.limit + 1, isDead }
    const search = () => listed(wanted, index, index === undefined ? lowest(statements, start.key, filter) : undefined)
    const { rows, end } =
      ofEvent.length > 0 ? listed(wanted, undefined, undefined) : (unlessDamaged(search) ?? carefully(wanted, start))
    const shown = rows.slice(0, page.limit)
    const last = rows.length > page.limit ? positionOf(shown.at(-1), isDead) : end
    return { items: shown.flatMap(withEvent).map(deliverySummaryOf), nextCursor: last && cursorOf(list, last) }
  }

  function listed(
    { filter, conditions, limit, isDead }: Wanted,
    index: string | undefined,
    end: Position | undefined,
  ): Listed {
    const within: Condition[] = end === undefined ? [...conditions] : [...conditions, ['d.key >= ?', end.key]]
    const select = (columns: string, join: string) =>
      statements.all(
        `SELECT d.key, d.handler, d.state, d.attempts, d.due_at, d.last_error ${columns}
         FROM delivery AS d ${index === undefined ? 'NOT INDEXED' : `INDEXED BY ${index}`} ${join}`,
        within,
        isDead ? DIED_LAST : 'ORDER BY d.key DESC LIMIT ?',
        [limit],
      )
    const joined = () => select(', e.uid, e.source, e.type', 'CROSS JOIN event AS e ON e.key = d.key / 1024')
    return { rows: filter.source === undefined ? (unlessDamaged(joined) ?? select('', '')) : joined(), end }
  }

  /** Event by event, or death by death, as an index tells them: what lies on damaged pages is left out. */
  function carefully(wanted: Wanted, start: Position): Listed {
    const places = wanted.isDead ? deaths(statements, start) : eventsBefore(statements, start)
    const rows: Row[] = []
    for (const { from, to } of places) {
      if (rows.length >= wanted.limit) break
      const conditions: Condition[] = [...wanted.conditions, ['d.key BETWEEN ? AND ?', from, to]]
      rows.push(...(unlessDamaged(() => listed({ ...wanted, conditions }, undefined, undefined))?.rows ?? []))
    }
    return { rows, end: places.length < MAX_LOOKED_AT ? undefined : places.at(-1)?.position }
  }

  /** Empty where its event lies on a damaged page. */
  function withEvent(row: Row): readonly Row[] {
    if ('uid' in row) return [row]
    const event = unlessDamaged(() => eventOf.get(eventKeyOf(Number(row.key))))
    return event === undefined ? [] : [{ ...row, ...event }]
  }

  function indexFor({ state }: DeliveryFilter): string | undefined {
    if (state === 'dead') return 'delivery_died'
    if (state === 'running') return 'delivery_running'
    return state === 'pending' && fewPending() ? 'delivery_pending' : undefined
  }
}

/** Undefined if there is no such event. */
function eventRange(findEvent: StatementSync, uid: string): readonly Condition[] | undefined {
  const event = findEvent.get(uid)
  if (event === undefined) return undefined
  const key = Number(event.key)
  return [['d.key BETWEEN ? AND ?', firstDeliveryKey(key), lastDeliveryKey(key)]]
}

function deaths(statements: StatementCache, start: Position): readonly Place[] {
  const died: Condition[] = [["d.state = 'dead'"], ...diedBefore(start)]
  const from = 'SELECT d.due_at, d.key FROM delivery AS d INDEXED BY delivery_died'
  return statements.all(from, died, DIED_LAST, [MAX_LOOKED_AT]).map((row) => {
    const key = Number(row.key)
    return { from: key, to: key, position: positionOf(row, true) }
  })
}

function eventsBefore(statements: StatementCache, { key: before }: Position): readonly Place[] {
  const from = 'SELECT key FROM event INDEXED BY event_by_uid'
  const last: Condition[] = [['key <= ?', eventKeyOf(before)]]
  return statements.all(from, last, 'ORDER BY key DESC LIMIT ?', [MAX_LOOKED_AT]).map((row) => {
    const key = firstDeliveryKey(Number(row.key))
    return { from: key, to: lastDeliveryKey(Number(row.key)), position: { atMs: 0, key } }
  })
}

/** The last delivery that may be looked at; undefined if all may. */
function lowest(
  statements: StatementCache,
  before: number,
  { state, handler, source }: DeliveryFilter,
): Position | undefined {
  if (state === undefined && handler === undefined && source === undefined) return undefined
  const [row] = statements.all(
    'SELECT key FROM delivery',
    [['key < ?', before]],
    'ORDER BY key DESC LIMIT 1 OFFSET ?',
    [MAX_LOOKED_AT - 1],
  )
  return positionOf(row, false)
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
