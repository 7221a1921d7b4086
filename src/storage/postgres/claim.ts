import { randomUUID } from 'node:crypto'
import type { DeliveryState, Settlement, Work } from '../../domain/delivery.ts'
import type { Headers, Origin } from '../../domain/event.ts'
import type { Claimed, ClaimRequest } from '../../domain/store.ts'
import type { Connections, Row } from './connections.ts'
import type { DatabaseClock } from './database-clock.ts'
import { toText, toTextOrNull } from './text.ts'

const CLAIM = { name: 'claim', text: 'SELECT * FROM claim_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)' }
const SETTLE = { name: 'settle', text: 'SELECT * FROM settle_1($1, $2) AS n' }

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

export function createClaim(connections: Connections, clock: DatabaseClock) {
  return async (request: ClaimRequest): Promise<Claimed> => {
    // Unlike any other: a delivery is leased at most once by one claim.
    const lease = randomUUID()
    const handlers = request.handlers.map(({ name, limit }) => ({ name: toText(name), limit }))
    const rows = await connections.run<WorkRow | LastRow>('work', CLAIM, [
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
    ])
    const last = rows.find((row) => row.delivery === null)
    return {
      work: rows.filter((row) => row.delivery !== null).map((row) => workOf(row, lease)),
      nextDueAtMs:
        last === undefined || last.next_due_at === null ? undefined : clock.localMs() + last.next_due_at - last.now_at,
    }
  }
}

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
  // In a buffer of its own, which a thread can be handed.
  body: new Uint8Array(row.bytes),
})

const STATE_AFTER: Readonly<Record<Settlement['verdict'], DeliveryState>> = {
  succeeded: 'succeeded',
  dead: 'dead',
  retry: 'pending',
  released: 'pending',
}

export function createSettle(connections: Connections, clock: DatabaseClock) {
  return async (settlements: readonly Settlement[]): Promise<readonly boolean[]> => {
    if (settlements.length === 0) return []
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
      started_ago_ms: Math.round(localMs - settlement.startedAtMs),
      duration_ms: Math.round(settlement.durationMs),
    }))
    const took = await connections.run<{ n: number }>('work', SETTLE, [clock.givenMs(), JSON.stringify(rows)])
    const effective = new Set(took.map(({ n }) => n))
    return rows.map(({ n }) => effective.has(n))
  }
}
