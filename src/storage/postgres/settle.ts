import type { Settlement } from '../../domain/delivery.ts'
import type { StoreLog } from '../../domain/store.ts'
import { announceSettled, eventKeyOf, STATE_AFTER, type Successor, storedDetail } from '../shared/deliveries.ts'
import type { EndedTaskListeners } from '../shared/ended-tasks.ts'
import { type EventRow, joinedReasons } from '../shared/events.ts'
import { createCauseKeys } from './causes.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Query, Row, Statement } from './connections.ts'
import type { Damage } from './damage.ts'
import { isDamage, unlessDamaged } from './errors.ts'
import { escapeText, escapeTextOrNull } from './escape-text.ts'
import { HOLD } from './hold.ts'
import { createGiveUpId } from './id-successor.ts'
import type { Leases } from './own-leases.ts'

/**
 * Records attempts and updates their deliveries, each only under its lease; it is given one settlement a lease. Returns the
 * places (`n`) of those that took effect. All statements lock deliveries in order of key.
 */
const settleStatement = (name: string, history: string): Statement => ({
  name,
  text: `
    WITH clock AS MATERIALIZED (SELECT clock_1($1) AS now),
    given AS MATERIALIZED (
      SELECT * FROM json_to_recordset($2) AS x (
        n integer, key bigint, lease text, state text, outcome text, counted boolean, isolate boolean, wait_ms bigint,
        error text, detail text, started_ago_ms bigint, duration_ms bigint,
        cause bigint -- of a death: the key of its cause
      )
    ),
    held AS MATERIALIZED (
      SELECT g.*, d.attempts, d.last_error FROM given AS g JOIN delivery AS d ON d.key = g.key
      WHERE d.lease = g.lease ORDER BY d.key FOR UPDATE OF d
    ),
    moved AS (
      UPDATE delivery SET state = h.state,
        due_at = (SELECT now FROM clock) + CASE h.state WHEN 'pending' THEN h.wait_ms ELSE 0 END,
        attempts = h.attempts - CASE WHEN h.counted THEN 0 ELSE 1 END,
        isolated = h.state = 'pending' AND h.isolate,
        last_error = CASE WHEN h.counted THEN h.error ELSE h.last_error END, cause = h.cause,
        lease = NULL, lease_until = NULL, started_at = NULL, held_for = NULL
      FROM held AS h WHERE delivery.key = h.key
    ),
    ${history}
    tallied AS (
      INSERT INTO tally
      SELECT state, count(*) FROM held GROUP BY state
      UNION ALL SELECT 'running', -count(*) FROM held HAVING count(*) > 0
    )
    SELECT n FROM held
  `,
})

const HISTORY = `
    recorded AS (
      INSERT INTO attempt
      SELECT key, next_ordinal_1(key), attempts, outcome, error, (SELECT now FROM clock) - started_ago_ms, duration_ms
      FROM held
    ),
    detailed AS (
      INSERT INTO attempt_detail SELECT key, next_ordinal_1(key), detail FROM held WHERE detail IS NOT NULL
    ),
`
const SETTLE = settleStatement('settle', HISTORY)
/** For deliveries whose history cannot be written. */
const SETTLE_UNRECORDED = settleStatement('settle-alone', '')

/**
 * Locks events before their deliveries, as a replay does: if the last two deliveries of an event end at the same time, the
 * second transaction sees the first.
 */
const HOLD_EVENTS = {
  name: 'hold-events',
  text: 'SELECT key, status, reasons FROM event WHERE key = ANY ($1) ORDER BY key FOR NO KEY UPDATE',
}
const QUARANTINE = {
  name: 'quarantine',
  text: "UPDATE event SET status = 'quarantined', reasons = $2 WHERE key = $1",
}

type HeldEvent = Pick<EventRow, 'key' | 'status' | 'reasons'>

/** Which parts of a settlement are carried out. */
interface Extent {
  readonly statement: Statement
  readonly quarantines: boolean
  readonly givesUpIds: boolean
}
const ALL: Extent = { statement: SETTLE, quarantines: true, givesUpIds: true }
/** Extents with fewer and fewer parts, tried one after the other if a damaged page is in the way. */
const PARTS: readonly Extent[] = [
  { statement: SETTLE, quarantines: true, givesUpIds: false },
  { statement: SETTLE, quarantines: false, givesUpIds: false },
  { statement: SETTLE_UNRECORDED, quarantines: false, givesUpIds: false },
]

interface SettleParts {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly leases: Leases
  readonly damage: Damage
  readonly endedTasks: EndedTaskListeners
  readonly onLog: StoreLog
}

interface Entry {
  readonly settlement: Settlement
  /** As the statement reads it. */
  readonly row: Row & { readonly n: number }
}

const isHeld = ({ settlement }: Entry): boolean => settlement.verdict === 'held'

interface Outcome {
  /** The places (`n`) of the settlements that took effect. */
  readonly took: readonly number[]
  readonly successors: readonly Successor[]
}
const NOTHING: Outcome = { took: [], successors: [] }

export function createSettle({ connections, clock, leases, damage, endedTasks, onLog }: SettleParts) {
  const giveUpId = createGiveUpId(clock)
  const causes = createCauseKeys(connections, clock)

  /** Settles as many of the deliveries as damage allows, and of each settlement as many parts as damage allows. */
  async function settleReadable(entries: readonly Entry[], isAgain = false): Promise<Outcome> {
    try {
      return await settleBy(ALL, entries)
    } catch (error) {
      if (!isDamage(error)) throw error
      if (!isAgain && (await damage.found(error)) === 'mended') return settleReadable(entries, true)
      if (entries.length === 1) return settlePart(entries)
      const middle = entries.length / 2
      const first = await settleReadable(entries.slice(0, middle))
      const second = await settleReadable(entries.slice(middle))
      return { took: [...first.took, ...second.took], successors: [...first.successors, ...second.successors] }
    }
  }

  async function settlePart(entries: readonly Entry[]): Promise<Outcome> {
    for (const part of PARTS) {
      const outcome = await unlessDamaged(settleBy(part, entries), undefined)
      if (outcome !== undefined) return outcome
    }
    return NOTHING
  }

  async function settleBy(extent: Extent, entries: readonly Entry[]): Promise<Outcome> {
    const isDead = ({ settlement }: Entry) => settlement.verdict === 'dead'
    const hasBoth = entries.some(isHeld) && !entries.every(isHeld)
    if ((extent.quarantines && entries.some(isDead)) || hasBoth)
      return connections.transaction((query) => settleWithDead(query, extent, entries), 'lease')
    const took = await settle((...statement) => connections.run('lease', ...statement), extent, entries)
    return { took, successors: [] }
  }

  const settle = (query: Query, { statement }: Extent, entries: readonly Entry[]): Promise<readonly number[]> =>
    settleIn(query, clock.givenMs(), statement, entries)

  /** Settles deliveries of which some are dead. A quarantined event may then give its id up; all of that is one transaction. */
  async function settleWithDead(query: Query, extent: Extent, entries: readonly Entry[]): Promise<Outcome> {
    const dead = entries.filter(({ settlement }) => settlement.verdict === 'dead')
    const keys = [...new Set(dead.map(({ settlement }) => eventKeyOf(settlement.deliveryId)))]
    const events = new Map((await query<HeldEvent>(HOLD_EVENTS, [keys])).map((event) => [event.key, event]))
    const took = await settle(query, extent, entries)
    const successors: Successor[] = []
    for (const { settlement } of dead.filter(({ row }) => took.includes(row.n))) {
      const key = eventKeyOf(settlement.deliveryId)
      const quarantined = await quarantine(query, settlement, events.get(key))
      if (quarantined === undefined) continue
      events.set(key, quarantined)
      const successor = extent.givesUpIds ? await giveUpId(query, key, settlement.routes) : undefined
      if (successor !== undefined) successors.push(successor)
    }
    return { took, successors }
  }

  return async (settlements: readonly Settlement[]): Promise<readonly boolean[]> => {
    if (settlements.length === 0) return []
    const keys = causes.known(settlements) ?? (await causes.record(settlements))
    const entries = entriesOf(settlements, keys, clock.localMs())
    const { took, successors } = await settleReadable(firstsOf(entries))
    for (const { deliveryId, lease } of settlements) leases.settled(deliveryId, lease)
    const effective = new Set(took)
    return announceSettled({ took: entries.map(({ row }) => effective.has(row.n)), successors }, endedTasks, onLog)
  }
}

const entriesOf = (
  settlements: readonly Settlement[],
  causeKeys: ReadonlyMap<Settlement, number>,
  localMs: number,
): readonly Entry[] =>
  settlements.map((settlement, at) => ({
    settlement,
    row: rowOf(settlement, at + 1, localMs, causeKeys.get(settlement)),
  }))

/** The first settlement under each lease, which is the one that counts. */
function firstsOf(entries: readonly Entry[]): readonly Entry[] {
  const firsts = new Map<string, Entry>()
  for (const entry of entries) {
    const lease = `${entry.settlement.deliveryId} ${entry.settlement.lease}`
    if (!firsts.has(lease)) firsts.set(lease, entry)
  }
  return [...firsts.values()]
}

/**
 * Quarantines the event if this settlement says so. Returns the event if it is quarantined now, by this settlement or an
 * earlier one.
 */
async function quarantine(
  query: Query,
  { quarantine: added }: Settlement,
  event: HeldEvent | undefined,
): Promise<HeldEvent | undefined> {
  if (added === undefined || event === undefined) return event?.status === 'quarantined' ? event : undefined
  const reasons = joinedReasons(event, added)
  await query(QUARANTINE, [event.key, escapeText(reasons)])
  return { ...event, status: 'quarantined', reasons }
}

function rowOf(settlement: Settlement, n: number, localMs: number, causeKey: number | undefined): Entry['row'] {
  const detail = storedDetail(settlement)
  return {
    n,
    key: settlement.deliveryId,
    lease: escapeText(settlement.lease),
    state: STATE_AFTER[settlement.verdict],
    outcome: settlement.outcome,
    counted: settlement.verdict !== 'released',
    ...(settlement.heldFor !== undefined && { held_for: escapeText(settlement.heldFor) }),
    isolate: settlement.isolate,
    wait_ms: Math.round(settlement.dueAtMs - localMs),
    error: escapeTextOrNull(settlement.error),
    ...(detail !== null && { detail: escapeText(detail) }),
    ...(causeKey !== undefined && { cause: causeKey }),
    started_ago_ms: Math.round(localMs - settlement.startedAtMs),
    duration_ms: Math.round(settlement.durationMs),
  }
}

/** Returns the places of those that took effect. */
async function settleIn(
  query: Query,
  givenMs: number | null,
  statement: Statement,
  entries: readonly Entry[],
): Promise<readonly number[]> {
  const run = async (each: Statement, some: readonly Entry[]): Promise<readonly number[]> => {
    if (some.length === 0) return []
    const rows = JSON.stringify(some.map(({ row }) => row))
    return (await query<{ n: number }>(each, [givenMs, rows])).map(({ n }) => n)
  }
  const held = entries.filter(isHeld)
  const others = held.length === 0 ? entries : entries.filter((entry) => !isHeld(entry))
  return [...(await run(statement, others)), ...(await run(HOLD, held))]
}
