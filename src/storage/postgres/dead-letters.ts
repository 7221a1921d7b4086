import {
  type DeadFilter,
  type DeadMatches,
  type DeadPosition,
  type DiscardRequest,
  type DiscardStep,
  MAX_DEAD_WALKED,
  MAX_MATCHED,
} from '../../domain/dead-letters.ts'
import { checkEventFilter } from '../../domain/event-filter.ts'
import { BEFORE_ALL, MAX_CAUSE_KEYS, noSuchDelivery, takeMatches, type WalkedRow } from '../shared/dead-letters.ts'
import {
  CAUSE_ID,
  type DeliveryRow,
  deliverySummaryOf,
  firstDeliveryKey,
  lastDeliveryKey,
} from '../shared/deliveries.ts'
import { noSuchEvent } from '../shared/events.ts'
import { type Condition, optional } from '../shared/list-pages.ts'
import type { DatabaseClock } from './clock.ts'
import { type Connections, type Query, select, type Value } from './connections.ts'
import { escapeText, isUuid } from './escape-text.ts'
import { eventConditions } from './event-conditions.ts'

type NamedRow = DeliveryRow & WalkedRow & Readonly<{ uid: string; source: string; type: string }>

/** How many deliveries one transaction discards. */
const MAX_DISCARDED_AT_ONCE = 500

/** Locks in order of key, as a settlement does. */
const DISCARD = {
  name: 'discard',
  text: `
    WITH dead AS MATERIALIZED (
      SELECT key FROM delivery WHERE key = ANY ($2) AND state = 'dead' ORDER BY key FOR UPDATE
    ),
    tallied AS (
      INSERT INTO tally SELECT t.state, t.n * count(*) FROM dead CROSS JOIN (VALUES ('dead', -1), ('discarded', 1)) AS t (state, n)
      GROUP BY t.state, t.n
    )
    UPDATE delivery SET state = 'discarded', due_at = clock_1($1) FROM dead WHERE delivery.key = dead.key RETURNING delivery.handler
  `,
}
const OF_EVENT = 'SELECT key, handler, state FROM delivery WHERE key BETWEEN $1 AND $2 ORDER BY key FOR UPDATE'

/** The keys of the causes that a filter names; undefined if it names none. */
export async function causeKeysOf(
  connections: Connections,
  { cause, handler, source }: Pick<DeadFilter, 'cause' | 'handler' | 'source'>,
  deadFrom?: DeadPosition,
): Promise<readonly number[] | undefined> {
  if (cause === undefined) return undefined
  const conditions: Condition<Value>[] = [
    ['id = ?', escapeText(cause)],
    ...withDead(deadFrom),
    ...optional<Value>('handler = ?', handler && escapeText(handler)),
    ...optional<Value>('source = ?', source && escapeText(source)),
  ]
  const rows = await select<{ key: number }>(connections, 'SELECT key FROM cause', conditions, 'ORDER BY key LIMIT ?', [
    MAX_CAUSE_KEYS,
  ])
  return rows.map(({ key }) => key)
}

/** Of causes: those at which a walk from here on finds dead deliveries. */
const withDead = (from: DeadPosition | undefined): readonly Condition<Value>[] =>
  from === undefined
    ? []
    : [
        ['key >= ?::bigint', from.causeKey ?? 0],
        ["EXISTS (SELECT FROM delivery AS d WHERE d.state = 'dead' AND d.cause = cause.key)"],
      ]

/** Dead deliveries after a position, of one cause or of all, in order of death, and whether the filter matches each. */
function walk(
  connections: Connections,
  filter: DeadFilter,
  causeKey: number | undefined,
  { diedAtMs, key }: DeadPosition,
  most: number,
): Promise<NamedRow[]> {
  const conditions: Condition<Value>[] = [
    ...eventConditions(filter),
    ...optional<Value>('d.handler = ?', filter.handler && escapeText(filter.handler)),
    ['event.key IS NOT NULL'],
  ]
  const inner: Condition<Value>[] = [
    ["state = 'dead'"],
    ...optional<Value>('cause = ?', causeKey),
    ['(due_at, key) > (?::bigint, ?::bigint)', diedAtMs, key],
  ]
  const text = (each: readonly Condition<Value>[]) => each.map(([sql]) => sql).join(' AND ')
  return select<NamedRow>(
    connections,
    `SELECT d.*, ${CAUSE_ID}, event.uid, event.source, event.type, ${text(conditions)} AS matches FROM (
      SELECT * FROM delivery WHERE ${text(inner)} ORDER BY due_at, key LIMIT ?
    ) AS d LEFT JOIN event ON event.key = d.key / 1024`,
    [],
    'ORDER BY d.due_at, d.key',
    [...[...conditions, ...inner].flatMap(([, ...values]) => values), most],
  )
}

export function createDiscard(connections: Connections, clock: DatabaseClock) {
  return async ({ filter, limit, from = BEFORE_ALL }: DiscardRequest): Promise<DiscardStep> => {
    checkEventFilter(filter)
    const causes = await causeKeysOf(connections, filter, from)
    if (causes?.length === 0) return { discarded: 0, next: undefined }
    const start = causes === undefined || causes[0] === from.causeKey ? from : BEFORE_ALL
    const rows = await walk(connections, filter, causes?.[0], start, MAX_DEAD_WALKED)
    const found = takeMatches(rows, limit, causes)
    let discarded = 0
    for (let at = 0; at < found.keys.length; at += MAX_DISCARDED_AT_ONCE) {
      const some = found.keys.slice(at, at + MAX_DISCARDED_AT_ONCE)
      discarded += (await connections.run('work', DISCARD, [clock.givenMs(), some])).length
    }
    return { discarded, next: found.next }
  }
}

export function createDiscardOf(connections: Connections, clock: DatabaseClock) {
  async function discard(query: Query, eventUid: string, handler: string | undefined): Promise<readonly string[]> {
    // The lock makes replays of the event, and retention, wait.
    const [event] = isUuid(eventUid)
      ? await query<{ key: number }>('SELECT key FROM event WHERE uid = $1 FOR UPDATE', [eventUid])
      : []
    if (event === undefined) throw noSuchEvent(eventUid)
    const ofEvent = await query<DeliveryRow>(OF_EVENT, [firstDeliveryKey(event.key), lastDeliveryKey(event.key)])
    const deliveries = ofEvent.filter((delivery) => handler === undefined || delivery.handler === handler)
    if (handler !== undefined && deliveries.length === 0) throw noSuchDelivery(eventUid, handler)
    const dead = deliveries.filter(({ state }) => state === 'dead')
    if (dead.length > 0) await query(DISCARD, [clock.givenMs(), dead.map(({ key }) => key)])
    return dead.map((delivery) => delivery.handler)
  }

  return (eventUid: string, handler?: string): Promise<readonly string[]> =>
    connections.transaction((query) => discard(query, eventUid, handler))
}

export function createMatchDead(connections: Connections) {
  return async (filter: DeadFilter, sampleSize: number, most = MAX_MATCHED): Promise<DeadMatches> => {
    checkEventFilter(filter)
    let left = most
    let count = 0
    const sample: NamedRow[] = []
    const causes = await causeKeysOf(connections, filter, BEFORE_ALL)
    for (const cause of causes ?? [undefined]) {
      for (let from = BEFORE_ALL; left > 0; ) {
        const atOnce = Math.min(left, MAX_ROWS_AT_ONCE)
        const rows = await walk(connections, filter, cause, from, atOnce)
        const matching = rows.filter(({ matches }) => matches === true)
        count += matching.length
        sample.push(...matching.slice(0, sampleSize - sample.length))
        left -= rows.length
        const last = rows.at(-1)
        if (last === undefined || rows.length < atOnce) break
        from = { diedAtMs: last.due_at, key: last.key }
      }
    }
    return {
      count,
      more: left <= 0 || causes?.length === MAX_CAUSE_KEYS,
      sample: sample.map((row) => deliverySummaryOf(row, row)),
    }
  }
}

/** The dead deliveries that one statement reads: its time is limited. */
const MAX_ROWS_AT_ONCE = 10_000
