import { hash, randomUUID } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { ClaimRequest } from '../../domain/delivery-queue.ts'
import { BODY_CORRUPT, bodyDamaged, eventKeyOf, limitsOf, NO_ATTEMPT_LEFT } from '../shared/deliveries.ts'
import { type WorkEventRow, workEventOf } from '../shared/events.ts'
import { type Candidate, prepareClaimOrder } from './claim-order.ts'
import type { StateCounts } from './counts.ts'
import type { Damage } from './damage.ts'
import type { DeliveryOrder } from './delivery-order.ts'
import { prepareNextDue } from './due-deliveries.ts'
import { prepareReclaimExpired } from './reclaim-leases.ts'
import { prepareRecordAttempt } from './settle.ts'
import type { StoredClaim, StoredWork } from './thread-messages.ts'

type Limits = Pick<ClaimRequest, 'leaseMs' | 'maxAttempts'>

const HEADERS_CORRUPT = 'the stored headers are damaged'
/** The bodies of one claim have at most so many bytes together, but one is always leased. As in PostgreSQL (`claim_4`). */
const MAX_BODY_BYTES = 8 * 1024 * 1024
/** How soon to claim again if damage hides which delivery comes due next. */
const BLIND_CLAIM_MS = 1_000

/**
 * Leases due deliveries. Marks a delivery dead if its event lies on a damaged page. Passes over a delivery that itself lies on
 * a damaged page.
 */
export function prepareClaim(db: DatabaseSync, counts: StateCounts, damage: Damage, order: DeliveryOrder) {
  const reclaimExpired = prepareReclaimExpired(db, counts, damage, order)
  const claimOrder = prepareClaimOrder(db, damage)
  const nextDue = prepareNextDue(db)
  const read = prepareRead(db, damage)
  const lease = prepareLease(db, counts)
  const markDead = prepareMarkDead(db, counts, damage, order)

  /** `full`: its body is longer than `roomBytes`. */
  function take(next: Candidate, limits: Limits, nowMs: number, roomBytes: number): StoredWork | 'full' | undefined {
    if (next.attempts >= limits.maxAttempts) {
      markDead.exhausted(next, nowMs)
      return undefined
    }
    const found = read(next.key)
    if (typeof found === 'string') {
      markDead.corrupt(next, found, nowMs)
      return undefined
    }
    return found.body.length > roomBytes ? 'full' : lease(next, found, nowMs, limits.leaseMs)
  }

  return (request: ClaimRequest, nowMs: number): StoredClaim => {
    const limits = limitsOf(request)
    reclaimExpired(nowMs, request, nowMs)
    order.repair(nowMs)
    const due = claimOrder(request, nowMs)
    const work: StoredWork[] = []
    let roomBytes = Number.POSITIVE_INFINITY
    for (let next = due.next(); next !== undefined; next = due.next()) {
      const candidate = next
      const leased = damage.around(
        'delivery',
        candidate.key,
        () => take(candidate, limits(candidate.handler), nowMs, roomBytes),
        () => due.passOver(candidate),
      )
      if (leased === undefined) continue
      if (leased === 'full') break
      work.push(leased)
      roomBytes = Math.min(roomBytes, MAX_BODY_BYTES) - leased.body.length
      due.leased(candidate)
    }
    return {
      work,
      nextDueAtMs: damage.around(
        'the delivery that comes due next',
        '',
        () => nextDue(nowMs),
        () => nowMs + BLIND_CLAIM_MS,
      ),
    }
  }
}

/** A delivery's event as it was stored. */
type FoundEvent = Pick<StoredWork, 'event' | 'body'>

/** Reads the event of a delivery, or returns why it cannot be read. */
function prepareRead(db: DatabaseSync, damage: Damage): (deliveryKey: number) => FoundEvent | string {
  const select = db.prepare(`
    SELECT uid, source, provider, id, type, received_at, origin, task, headers, traceparent, checksum, bytes,
      json_valid(headers) AS has_headers
    FROM event LEFT JOIN event_body USING (key) WHERE key = ?
  `)

  function find(key: number): FoundEvent | string {
    const row = select.get(eventKeyOf(key))
    const body = row?.bytes
    if (row === undefined || !(body instanceof Uint8Array) || hash('sha256', body) !== row.checksum) return BODY_CORRUPT
    if (row.has_headers !== 1) return HEADERS_CORRUPT
    return { event: workEventOf(row as WorkEventRow, String(row.headers)), body }
  }

  return (key) => damage.around<FoundEvent | string>('event of delivery', key, () => find(key), bodyDamaged)
}

function prepareLease(db: DatabaseSync, counts: StateCounts) {
  const update = db.prepare(`
    UPDATE delivery SET state = 'running', attempts = attempts + 1, lease = ?, lease_until = ?, started_at = ? WHERE key = ?
  `)
  const processLease = randomUUID()
  let leases = 0

  return (
    { key, handler, attempts, dueAtMs, isolated, ordered }: Candidate,
    found: FoundEvent,
    nowMs: number,
    leaseMs: number,
  ): StoredWork => {
    const lease = `${processLease}:${++leases}`
    update.run(lease, nowMs + leaseMs, nowMs, key)
    counts.move('pending', 'running')
    const attempt = attempts + 1
    return { deliveryId: key, lease, handler, attempt, dueAtMs, isolated, ...(ordered && { ordered }), ...found }
  }
}

/** Marks pending deliveries that cannot run as dead. */
function prepareMarkDead(db: DatabaseSync, counts: StateCounts, damage: Damage, order: DeliveryOrder) {
  const recordAttempt = prepareRecordAttempt(db, damage)
  const update = db.prepare(`
    UPDATE delivery SET state = 'dead', due_at = ?, attempts = attempts + ?, last_error = coalesce(?, last_error, ?) WHERE key = ?
  `)
  return {
    exhausted({ key }: Candidate, nowMs: number): void {
      update.run(nowMs, 0, null, NO_ATTEMPT_LEFT, key)
      counts.move('pending', 'dead')
      order.endedAt(key, nowMs)
    },
    corrupt({ key, attempts }: Candidate, error: string, nowMs: number): void {
      update.run(nowMs, 1, error, null, key)
      recordAttempt({
        delivery: key,
        number: attempts + 1,
        outcome: 'body_corrupt',
        error,
        detail: null,
        startedAtMs: nowMs,
        durationMs: 0,
      })
      counts.move('pending', 'dead')
      order.endedAt(key, nowMs)
    },
  }
}
