import type { DeliveryState, Settlement } from '../../domain/delivery.ts'
import type { Connections, Row, Statement } from './connections.ts'
import type { Damage } from './damage.ts'
import type { DatabaseClock } from './database-clock.ts'
import { isDamage } from './errors.ts'
import type { Leases } from './leases.ts'
import { disownQuarantined, quarantineEvents } from './quarantine.ts'
import { toText, toTextOrNull } from './text.ts'
import { unlessDamaged } from './unreadable.ts'

/**
 * Records attempts and moves their deliveries on, each only under its lease; of several outcomes under one lease the first
 * counts. Gives the places of those that took effect. Locked in one order everywhere.
 */
const settleStatement = (name: string, history: string): Statement => ({
  name,
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
/** Where the history cannot be written. */
const SETTLE_ALONE = settleStatement('settle-alone', '')

export interface SettleParts {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly leases: Leases
  readonly damage: Damage
}

/** As the statement reads it. */
interface SettlementRow extends Row {
  readonly n: number
}

const STATE_AFTER: Readonly<Record<Settlement['verdict'], DeliveryState>> = {
  succeeded: 'succeeded',
  dead: 'dead',
  retry: 'pending',
  released: 'pending',
}

export function createSettle({ connections, clock, leases, damage }: SettleParts) {
  /** Gives the places of those that took effect: without a history that cannot be written; not one that cannot be itself. */
  async function settleReadable(rows: readonly SettlementRow[], isAgain = false): Promise<readonly number[]> {
    try {
      return await settleBy(SETTLE, rows)
    } catch (error) {
      if (!isDamage(error)) throw error
      if (!isAgain && (await damage.found(error)) === 'mended') return settleReadable(rows, true)
      if (rows.length === 1) return unlessDamaged(settleBy(SETTLE_ALONE, rows), [])
      const middle = rows.length / 2
      return [...(await settleReadable(rows.slice(0, middle))), ...(await settleReadable(rows.slice(middle)))]
    }
  }

  async function settleBy(statement: Statement, rows: readonly SettlementRow[]): Promise<readonly number[]> {
    const took = await connections.run<{ n: number }>('lease', statement, [clock.givenMs(), JSON.stringify(rows)])
    return took.map(({ n }) => n)
  }

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
    const effective = new Set(await settleReadable(rows))
    for (const { deliveryId, lease } of settlements) leases.settled(deliveryId, lease)
    await disownQuarantined(connections, settlements)
    return rows.map(({ n }) => effective.has(n))
  }
}
