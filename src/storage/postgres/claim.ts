import type { DeliveryState, Settlement, Work } from '../../domain/delivery.ts'
import type { Headers, Origin } from '../../domain/event.ts'
import type { Claimed, ClaimRequest, StoreLog } from '../../domain/store.ts'
import type { Connections, Row } from './connections.ts'
import type { DatabaseClock } from './database-clock.ts'
import { isDamage } from './errors.ts'
import type { Leases } from './leases.ts'
import { disownQuarantined, quarantineEvents } from './quarantine.ts'
import type { Look, SignsOfLife } from './signs-of-life.ts'
import { toText, toTextOrNull } from './text.ts'
import { buryUnreadable } from './unreadable.ts'

const CLAIM = {
  name: 'claim',
  text: 'SELECT * FROM claim_3($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)',
}
/**
 * Records attempts and moves their deliveries on, each only under its lease; of several outcomes under one lease the first
 * counts. Gives the places of those that took effect. Locked in one order everywhere.
 */
const SETTLE = {
  name: 'settle',
  text: `
    WITH clock AS MATERIALIZED (SELECT clock_1($1) AS now),
    given AS MATERIALIZED (
      SELECT DISTINCT ON (key, lease) * FROM json_to_recordset($2) AS x (
        n integer, key bigint, lease text, state text, outcome text, counted boolean, isolate boolean, wait_ms bigint,
        error text, detail text, started_ago_ms bigint, duration_ms bigint
      ) ORDER BY key, lease, n
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
        last_error = CASE WHEN h.counted THEN h.error ELSE h.last_error END,
        lease = NULL, lease_until = NULL, started_at = NULL
      FROM held AS h WHERE delivery.key = h.key
    ),
    recorded AS (
      INSERT INTO attempt
      SELECT key, next_ordinal_1(key), attempts, outcome, error, (SELECT now FROM clock) - started_ago_ms, duration_ms
      FROM held
    ),
    detailed AS (
      INSERT INTO attempt_detail SELECT key, next_ordinal_1(key), detail FROM held WHERE detail IS NOT NULL
    ),
    tallied AS (
      INSERT INTO tally
      SELECT state, count(*) FROM held GROUP BY state
      UNION ALL SELECT 'running', -count(*) FROM held HAVING count(*) > 0
    )
    SELECT n FROM held
  `,
}

const LEASE_LOST = 'what ran it went away before it ended'
const NO_ATTEMPT_LEFT = 'no attempt is left'
const BODY_CORRUPT = 'the stored body no longer matches its checksum'

interface WorkRow extends Row {
  readonly delivery: number
  readonly handler: string
  readonly attempt: number
  readonly isolated: boolean
  readonly uid: string
  readonly source: string
  readonly provider: string
  readonly id: string
  readonly type: string
  readonly received_at: number
  readonly origin: Origin
  readonly task: string | null
  readonly headers: string
  readonly traceparent: string | null
  readonly bytes: Buffer
}

interface LastRow extends Row {
  readonly delivery: null
  readonly now_at: number
  readonly next_due_at: number | null
}

export interface ClaimParts {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly leases: Leases
  readonly signs: SignsOfLife
  readonly onLog: StoreLog
}

export function createClaim({ connections, clock, leases, signs, onLog }: ClaimParts) {
  async function claimUnder(lease: string, { holder, says }: Look, request: ClaimRequest): Promise<Claimed> {
    const handlers = request.handlers.map(({ name, limit, running }) => ({ name: toText(name), limit, running }))
    const rows = await connections.run<WorkRow | LastRow>('lease', CLAIM, [
      clock.givenMs(),
      JSON.stringify(handlers),
      request.sharedLimit,
      request.isolatedLimit,
      lease,
      request.leaseMs,
      request.maxAttempts,
      LEASE_LOST,
      NO_ATTEMPT_LEFT,
      BODY_CORRUPT,
      holder,
      says,
    ])
    const last = rows.find((row) => row.delivery === null)
    const work = rows.filter((row) => row.delivery !== null).map((row) => workOf(row, lease))
    for (const { deliveryId } of work) leases.hold(deliveryId, lease, request.leaseMs)
    return { work, nextDueAtMs: earliest(nextDueOf(last, clock.localMs()), leases.nextEndMs()) }
  }

  async function claimReadable(lease: string, look: Look, request: ClaimRequest): Promise<Claimed> {
    try {
      return await claimUnder(lease, look, request)
    } catch (error) {
      const names = request.handlers.map(({ name }) => name)
      if (!isDamage(error) || (await buryUnreadable(connections, clock, names, onLog)) === 0) throw error
      return claimUnder(lease, look, request)
    }
  }

  return (request: ClaimRequest): Promise<Claimed> =>
    leases.asking((lease) => signs.during((look) => claimReadable(lease, look, request)))
}

const nextDueOf = (last: LastRow | undefined, nowMs: number): number | undefined =>
  last === undefined || last.next_due_at === null ? undefined : nowMs + last.next_due_at - last.now_at

const earliest = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || other === undefined ? (one ?? other) : Math.min(one, other)

const workOf = (row: WorkRow, lease: string): Work => ({
  deliveryId: row.delivery,
  lease,
  handler: row.handler,
  attempt: row.attempt,
  isolated: row.isolated,
  event: {
    uid: row.uid,
    source: row.source,
    provider: row.provider,
    id: row.id,
    type: row.type,
    receivedAtMs: row.received_at,
    origin: row.origin,
    headers: JSON.parse(row.headers) as Headers,
    ...(row.task !== null && { task: row.task }),
    ...(row.traceparent !== null && { traceparent: row.traceparent }),
  },
  body: new Uint8Array(row.bytes),
})

const STATE_AFTER: Readonly<Record<Settlement['verdict'], DeliveryState>> = {
  succeeded: 'succeeded',
  dead: 'dead',
  retry: 'pending',
  released: 'pending',
}

export function createSettle(connections: Connections, clock: DatabaseClock, leases: Leases) {
  return async (settlements: readonly Settlement[]): Promise<readonly boolean[]> => {
    if (settlements.length === 0) return []
    await quarantineEvents(connections, settlements)
    const localMs = clock.localMs()
    const rows = settlements.map((settlement, at) => ({
      n: at + 1,
      key: settlement.deliveryId,
      lease: toText(settlement.lease),
      state: STATE_AFTER[settlement.verdict],
      outcome: settlement.outcome,
      counted: settlement.verdict !== 'released',
      isolate: settlement.isolate,
      wait_ms: Math.round(settlement.dueAtMs - localMs),
      error: toTextOrNull(settlement.error),
      ...(settlement.detail !== undefined && { detail: toText(JSON.stringify(settlement.detail)) }),
      started_ago_ms: Math.round(localMs - settlement.startedAtMs),
      duration_ms: Math.round(settlement.durationMs),
    }))
    const took = await connections.run<{ n: number }>('lease', SETTLE, [clock.givenMs(), JSON.stringify(rows)])
    for (const { deliveryId, lease } of settlements) leases.settled(deliveryId, lease)
    await disownQuarantined(connections, settlements)
    const effective = new Set(took.map(({ n }) => n))
    return rows.map(({ n }) => effective.has(n))
  }
}
