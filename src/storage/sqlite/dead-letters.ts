import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import {
  type DeadFilter,
  type DeadMatches,
  type DeadPosition,
  type DiscardRequest,
  type DiscardStep,
  MAX_DEAD_WALKED,
  MAX_MATCHED,
} from '../../domain/dead-letters.ts'
import type { DeliverySummary } from '../../domain/delivery.ts'
import { checkEventFilter } from '../../domain/event-filter.ts'
import {
  BEFORE_ALL,
  type FoundDead,
  MAX_CAUSE_KEYS,
  noSuchDelivery,
  takeMatches,
  type WalkedRow,
} from '../shared/dead-letters.ts'
import {
  CAUSE_ID,
  type DeliveryRow,
  deliverySummaryOf,
  firstDeliveryKey,
  lastDeliveryKey,
} from '../shared/deliveries.ts'
import { noSuchEvent } from '../shared/events.ts'
import type { StateCounts } from './counts.ts'
import type { Damage } from './damage.ts'
import { eventConditions } from './event-conditions.ts'
import { type SqlCondition, StatementCache } from './statement-cache.ts'
import type { StoreThreads } from './store-threads.ts'

/** How many deliveries one commit discards: an append waits for no more than that. */
const MAX_DISCARDED_AT_ONCE = 100

/** The keys of the causes that a filter names; undefined if it names none. */
export function prepareCauseKeys(db: DatabaseSync) {
  const statements = new StatementCache(db)
  return (
    { cause, handler, source }: Pick<DeadFilter, 'cause' | 'handler' | 'source'>,
    deadFrom?: DeadPosition,
  ): readonly number[] | undefined => {
    if (cause === undefined) return undefined
    const conditions: SqlCondition[] = [['id = ?', cause], ...withDead(deadFrom)]
    if (handler !== undefined) conditions.push(['handler = ?', handler])
    if (source !== undefined) conditions.push(['source = ?', source])
    return statements
      .all('SELECT key FROM cause', conditions, 'ORDER BY key LIMIT ?', [MAX_CAUSE_KEYS])
      .map(({ key }) => Number(key))
  }
}

/** Of causes: those at which a walk from here on finds dead deliveries. */
const withDead = (from: DeadPosition | undefined): readonly SqlCondition[] =>
  from === undefined
    ? []
    : [
        ['key >= ?', from.causeKey ?? Number.MIN_SAFE_INTEGER],
        ["EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_cause WHERE state = 'dead' AND cause = cause.key)"],
      ]

/** Walks over the dead deliveries that a filter may mean. */
function prepareWalk(db: DatabaseSync) {
  const statements = new StatementCache(db)

  /** Those after a position, of one cause or of all, in order of death. */
  return (filter: DeadFilter, causeKey: number | undefined, { diedAtMs, key }: DeadPosition, most: number) => {
    const ofEvent = eventConditions(filter)
    const conditions: SqlCondition[] = [
      ...ofEvent,
      ...(filter.handler === undefined ? [] : [['d.handler = ?', filter.handler] as const]),
      ['event.key IS NOT NULL'],
    ]
    const inner: SqlCondition[] = [
      ["state = 'dead'"],
      ...(causeKey === undefined ? [] : [['cause = ?', causeKey] as const]),
      ['due_at >= ?', diedAtMs],
      ['(due_at > ? OR key > ?)', diedAtMs, key],
    ]
    const sql = `SELECT d.*, ${CAUSE_ID}, event.uid, event.source, event.type, ${conditions.map(([text]) => text).join(' AND ')} AS matches FROM (
      SELECT * FROM delivery INDEXED BY ${causeKey === undefined ? 'delivery_died' : 'delivery_cause'}
      WHERE ${inner.map(([text]) => text).join(' AND ')} ORDER BY due_at, key LIMIT ?
    ) AS d LEFT JOIN event ON event.key = d.key / 1024 ORDER BY d.due_at, d.key`
    const values: SQLInputValue[] = [...conditions, ...inner].flatMap(([, ...each]) => each)
    return statements.all(sql, [], '', [...values, most]) as unknown as (WalkedRow & NamedRow)[]
  }
}

type NamedRow = DeliveryRow & Readonly<{ uid: string; source: string; type: string }>

export function prepareFindDead(db: DatabaseSync): (request: DiscardRequest) => FoundDead {
  const causeKeys = prepareCauseKeys(db)
  const walk = prepareWalk(db)
  return ({ filter, limit, from = BEFORE_ALL }) => {
    checkEventFilter(filter)
    const causes = causeKeys(filter, from)
    if (causes?.length === 0) return { keys: [], next: undefined }
    const start = causes === undefined || causes[0] === from.causeKey ? from : BEFORE_ALL
    return takeMatches(walk(filter, causes?.[0], start, MAX_DEAD_WALKED), limit, causes)
  }
}

/** Which dead deliveries a page of a walk looks at: after a position, of one cause or of all, at most so many. */
export interface DeadPage {
  readonly filter: DeadFilter
  readonly cause: number | undefined
  readonly from: DeadPosition
  readonly most: number
  readonly sampleSize: number
}

/** What a page of a walk found. */
export interface MatchedPage {
  readonly count: number
  readonly sample: readonly DeliverySummary[]
  readonly walked: number
  /** Undefined if no dead delivery follows. */
  readonly next: DeadPosition | undefined
}

/** The walk of `matchDead` in steps, so that other reads are answered between two. */
export function prepareMatchDead(db: DatabaseSync) {
  const causeKeys = prepareCauseKeys(db)
  const walk = prepareWalk(db)
  return {
    matchDeadCauses(filter: DeadFilter): readonly number[] | undefined {
      checkEventFilter(filter)
      return causeKeys(filter, BEFORE_ALL)
    },

    matchDeadPage({ filter, cause, from, most, sampleSize }: DeadPage): MatchedPage {
      const atOnce = Math.min(most, MAX_DEAD_WALKED)
      const rows = walk(filter, cause, from, atOnce)
      const matching = rows.filter(({ matches }) => matches === 1)
      const last = rows.length < atOnce ? undefined : rows.at(-1)
      return {
        count: matching.length,
        sample: matching.slice(0, sampleSize).map((row) => deliverySummaryOf(row, row)),
        walked: rows.length,
        next: last && { diedAtMs: last.due_at, key: last.key },
      }
    },
  }
}

/** Calls the reader page by page. */
export async function matchInPages(
  reads: Pick<StoreThreads['reads'], 'call'>,
  filter: DeadFilter,
  sampleSize: number,
  mostWalked = MAX_MATCHED,
): Promise<DeadMatches> {
  let left = mostWalked
  let count = 0
  const sample: DeliverySummary[] = []
  const causes = await reads.call('matchDeadCauses', filter)
  for (const cause of causes ?? [undefined]) {
    for (let from: DeadPosition | undefined = BEFORE_ALL; from !== undefined && left > 0; ) {
      const asked: DeadPage = { filter, cause, from, most: left, sampleSize: sampleSize - sample.length }
      const page: MatchedPage = await reads.call('matchDeadPage', asked)
      count += page.count
      sample.push(...page.sample)
      left -= page.walked
      from = page.next
    }
  }
  return { count, more: left <= 0 || causes?.length === MAX_CAUSE_KEYS, sample }
}

/** Discards what was found, a bounded number in one commit. */
export async function discardInCommits(
  found: Promise<FoundDead>,
  discard: (keys: readonly number[]) => Promise<number>,
): Promise<DiscardStep> {
  const { keys, next } = await found
  let discarded = 0
  for (let from = 0; from < keys.length; from += MAX_DISCARDED_AT_ONCE)
    discarded += await discard(keys.slice(from, from + MAX_DISCARDED_AT_ONCE))
  return { discarded, next }
}

interface Discard {
  /** How many of them were dead, and are discarded now. */
  readonly discard: (keys: readonly number[], nowMs: number) => number
  readonly discardOf: (eventUid: string, handler: string | undefined, nowMs: number) => readonly string[]
}

export function prepareDiscard(db: DatabaseSync, counts: StateCounts, damage: Damage): Discard {
  const update = db.prepare("UPDATE delivery SET state = 'discarded', due_at = ? WHERE key = ? AND state = 'dead'")
  const findEvent = db.prepare('SELECT key FROM event WHERE uid = ?')
  const ofEvent = db.prepare('SELECT key, handler, state FROM delivery WHERE key BETWEEN ? AND ? ORDER BY key')

  function discard(keys: readonly number[], nowMs: number): number {
    const discarded = keys.reduce((sum, key) => {
      const run = () => Number(update.run(nowMs, key).changes)
      return sum + damage.around('the discard of delivery', key, run, () => 0)
    }, 0)
    counts.move('dead', 'discarded', discarded)
    return discarded
  }

  return {
    discard,
    discardOf(eventUid, handler, nowMs) {
      const event = findEvent.get(eventUid)
      if (event === undefined) throw noSuchEvent(eventUid)
      const key = Number(event.key)
      const deliveries = (ofEvent.all(firstDeliveryKey(key), lastDeliveryKey(key)) as DeliveryRow[]).filter(
        (delivery) => handler === undefined || delivery.handler === handler,
      )
      if (handler !== undefined && deliveries.length === 0) throw noSuchDelivery(eventUid, handler)
      const dead = deliveries.filter(({ state }) => state === 'dead')
      discard(
        dead.map(({ key }) => key),
        nowMs,
      )
      return dead.map((delivery) => delivery.handler)
    },
  }
}
