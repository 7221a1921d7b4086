import { hash, randomUUID } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { Origin } from '../../domain/event.ts'
import type { ClaimRequest } from '../../domain/store.ts'
import { eventKeyOf } from '../common/keys.ts'
import { prepareRecordAttempt } from './attempts.ts'
import { prepareTakeBack } from './lost-leases.ts'
import type { StoredClaim, StoredWork } from './messages.ts'
import { prepareNextDue } from './next-due.ts'
import type { Tally } from './tally.ts'
import { type Candidate, prepareTurns } from './turns.ts'

const NO_ATTEMPT_LEFT = 'no attempt is left'
const BODY_CORRUPT = 'the stored body no longer matches its checksum'

export function prepareClaim(db: DatabaseSync, tally: Tally) {
  const takeBack = prepareTakeBack(db, tally)
  const dueTurns = prepareTurns(db)
  const nextDue = prepareNextDue(db)
  const lease = prepareLease(db, tally)
  const bury = prepareBury(db, tally)

  return (request: ClaimRequest, nowMs: number): StoredClaim => {
    takeBack(nowMs, request.maxAttempts, nowMs)
    const turns = dueTurns(request, nowMs)
    const work: StoredWork[] = []
    for (let next = turns.next(); next !== undefined; next = turns.next()) {
      if (next.attempts >= request.maxAttempts) {
        bury.exhausted(next, nowMs)
        continue
      }
      const leased = lease(next, nowMs, request.leaseMs)
      if (leased === undefined) {
        bury.corrupt(next, nowMs)
        continue
      }
      work.push(leased)
      turns.leased(next)
    }
    return { work, nextDueAtMs: nextDue(nowMs) }
  }
}

/** Leases a delivery; undefined, and nothing done, if its body is not what it was. */
function prepareLease(db: DatabaseSync, tally: Tally) {
  const select = db.prepare(`
    SELECT uid, source, provider, id, type, received_at, origin, task, headers, traceparent, checksum, bytes
    FROM event LEFT JOIN event_body USING (key) WHERE key = ?
  `)
  const update = db.prepare(`
    UPDATE delivery SET state = 'running', attempts = attempts + 1, lease = ?, lease_until = ?, started_at = ? WHERE key = ?
  `)
  const processLease = randomUUID()
  let leases = 0

  return (candidate: Candidate, nowMs: number, leaseMs: number): StoredWork | undefined => {
    const row = select.get(eventKeyOf(candidate.key))
    const body = row?.bytes
    if (row === undefined || !(body instanceof Uint8Array) || hash('sha256', body) !== row.checksum) return undefined
    const lease = `${processLease}:${++leases}`
    update.run(lease, nowMs + leaseMs, nowMs, candidate.key)
    tally.move('pending', 'running')
    return {
      deliveryId: candidate.key,
      lease,
      handler: candidate.handler,
      attempt: candidate.attempts + 1,
      isolated: candidate.isolated,
      event: {
        uid: String(row.uid),
        source: String(row.source),
        provider: String(row.provider),
        id: String(row.id),
        type: String(row.type),
        receivedAtMs: Number(row.received_at),
        origin: row.origin as Origin,
        headers: String(row.headers),
        ...(typeof row.task === 'string' && { task: row.task }),
        ...(typeof row.traceparent === 'string' && { traceparent: row.traceparent }),
      },
      body,
    }
  }
}

/** Makes pending deliveries dead that are not to run. */
function prepareBury(db: DatabaseSync, tally: Tally) {
  const recordAttempt = prepareRecordAttempt(db)
  const update = db.prepare(`
    UPDATE delivery SET state = 'dead', due_at = ?, attempts = attempts + ?, last_error = coalesce(?, last_error, ?) WHERE key = ?
  `)
  return {
    exhausted({ key }: Candidate, nowMs: number): void {
      update.run(nowMs, 0, null, NO_ATTEMPT_LEFT, key)
      tally.move('pending', 'dead')
    },
    corrupt({ key, attempts }: Candidate, nowMs: number): void {
      update.run(nowMs, 1, BODY_CORRUPT, null, key)
      recordAttempt({
        delivery: key,
        number: attempts + 1,
        outcome: 'body_corrupt',
        error: BODY_CORRUPT,
        detail: null,
        startedAtMs: nowMs,
        durationMs: 0,
      })
      tally.move('pending', 'dead')
    },
  }
}
