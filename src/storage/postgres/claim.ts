import type { Work } from '../../domain/delivery.ts'
import type { Claimed, ClaimRequest } from '../../domain/delivery-queue.ts'
import { messageOf } from '../../domain/errors.ts'
import type { Headers } from '../../domain/event.ts'
import type { StoreLog } from '../../domain/store.ts'
import { BODY_CORRUPT, LEASE_LOST, limitsOf, NO_ATTEMPT_LEFT } from '../shared/deliveries.ts'
import { type WorkEventRow, workEventOf } from '../shared/events.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Row } from './connections.ts'
import type { Damage } from './damage.ts'
import { markDeadUnreadable, reclaimExpiredLeases } from './damaged-deliveries.ts'
import { isDamage } from './errors.ts'
import { escapeText } from './escape-text.ts'
import { createReadBody, SLICE_BYTES } from './find-event.ts'
import type { Duties, Heartbeat } from './heartbeat.ts'
import type { Leases } from './own-leases.ts'
import { createPlaceOrdered } from './place-ordered.ts'

/** Leaves out a long body, which statements of its own read. */
const CLAIM = {
  name: 'claim',
  text: `
    SELECT delivery, c.handler, attempt, c.isolated, uid, source, provider, id, type, received_at, origin, task, headers,
      traceparent, CASE WHEN length(bytes) <= ${SLICE_BYTES} THEN bytes END AS bytes, now_at, next_due_at, ordered,
      (SELECT c.now_at - d.due_at FROM delivery AS d WHERE d.key = c.delivery) AS due_for_ms
    FROM claim_4($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS c
  `,
}

/** How often one claim sets damaged rows aside and tries again; after that the next claim goes on. */
const MAX_DETOURS = 4
/** How long claims pause after damage has kept one from claiming anything. */
const BLIND_MS = 2_000

interface WorkRow extends Row, WorkEventRow {
  readonly delivery: number
  readonly handler: string
  readonly attempt: number
  readonly isolated: boolean
  readonly headers: string
  readonly ordered: boolean
  /** Null: the claim itself has made it due. */
  readonly due_for_ms: number | null
  readonly bytes: Buffer | null
}

interface LastRow extends Row {
  readonly delivery: null
  readonly now_at: number
  readonly next_due_at: number | null
}

interface ClaimParts {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly leases: Leases
  readonly heartbeat: Heartbeat
  readonly damage: Damage
  readonly onLog: StoreLog
}

export function createClaim(parts: ClaimParts) {
  const placeOrdered = createPlaceOrdered(parts.connections, parts.clock)
  const claimDue = createClaimDue(parts)
  return async (request: ClaimRequest): Promise<Claimed> => {
    const againAtMs = await placeOrdered(request)
    const { work, nextDueAtMs } = await claimDue(request)
    return { work, nextDueAtMs: earliest(nextDueAtMs, againAtMs) }
  }
}

function createClaimDue(parts: ClaimParts) {
  const { connections, clock, leases, heartbeat, damage, onLog } = parts
  const readBody = createReadBody(connections)
  const bodyOf = ({ uid, bytes }: WorkRow) => (bytes === null ? readBody(uid) : new Uint8Array(bytes))

  async function claimUnder(lease: string, { holder, beats }: Duties, request: ClaimRequest): Promise<Claimed> {
    const rows = await connections.run<WorkRow | LastRow>('lease', CLAIM, [
      clock.givenMs(),
      handlersJson(request),
      request.sharedLimit,
      request.isolatedLimit,
      lease,
      request.leaseMs,
      request.maxAttempts,
      LEASE_LOST,
      NO_ATTEMPT_LEFT,
      BODY_CORRUPT,
      holder,
      beats,
      ownLimitsJson(request),
    ])
    const nowMs = clock.localMs()
    const last = rows.find((row) => row.delivery === null)
    const work: Work[] = []
    for (const row of rows) if (row.delivery !== null) work.push(workOf(row, lease, await bodyOf(row), nowMs))
    const limits = limitsOf(request)
    for (const { deliveryId, handler } of work) leases.hold(deliveryId, lease, limits(handler).leaseMs)
    return { work, nextDueAtMs: earliest(nextDueOf(last, nowMs), leases.nextEndMs()) }
  }

  async function claimReadable(lease: string, duties: Duties, request: ClaimRequest): Promise<Claimed> {
    for (let detours = 0; ; detours++) {
      try {
        return await claimUnder(lease, duties, request)
      } catch (error) {
        if (!isDamage(error) || detours === MAX_DETOURS) throw error
        const isMended = (await damage.found(error)) === 'mended'
        if (!isMended && (await setAside(request)) === 0) throw error
      }
    }
  }

  /** Sets deliveries that cannot be read aside, so that later claims do not meet them. Returns how many. */
  async function setAside(request: ClaimRequest): Promise<number> {
    const unrecorded = await reclaimExpiredLeases(parts, request.maxAttempts, ownLimitsJson(request), LEASE_LOST)
    const names = request.handlers.map(({ name }) => name)
    return unrecorded + (await markDeadUnreadable(parts, names))
  }

  let blindUntilMs: number | undefined
  const isBlind = (): boolean => blindUntilMs !== undefined && performance.now() < blindUntilMs
  const nothing = (): Claimed => ({ work: [], nextDueAtMs: clock.localMs() + BLIND_MS })

  return async (request: ClaimRequest): Promise<Claimed> => {
    if (isBlind()) return nothing()
    try {
      const claimed = await leases.asking((lease) =>
        heartbeat.during((duties) => claimReadable(lease, duties, request)),
      )
      if (blindUntilMs !== undefined) onLog('info', 'deliveries are claimed again')
      blindUntilMs = undefined
      return claimed
    } catch (error) {
      if (!isDamage(error)) throw error
      if (blindUntilMs === undefined) onLog('error', `${CLAIMS_NOTHING}: ${messageOf(error)}`)
      blindUntilMs = performance.now() + BLIND_MS
      return nothing()
    }
  }
}

const handlersJson = ({ handlers }: ClaimRequest): string =>
  JSON.stringify(handlers.map(({ name, limit, running }) => ({ name: escapeText(name), limit, running })))

/** The form that `claim_4` reads. */
const ownLimitsJson = ({ ownLimits }: ClaimRequest): string | null =>
  ownLimits === undefined
    ? null
    : JSON.stringify(
        ownLimits.map(({ handler, leaseMs, maxAttempts }) => ({
          handler: escapeText(handler),
          lease_ms: leaseMs,
          max_attempts: maxAttempts,
        })),
      )

const CLAIMS_NOTHING =
  'deliveries cannot be claimed, because the database is damaged; new events are handled at once while handlers have capacity'

const nextDueOf = (last: LastRow | undefined, nowMs: number): number | undefined =>
  last === undefined || last.next_due_at === null ? undefined : nowMs + last.next_due_at - last.now_at

const earliest = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || other === undefined ? (one ?? other) : Math.min(one, other)

const workOf = (row: WorkRow, lease: string, body: Uint8Array, nowMs: number): Work => ({
  deliveryId: row.delivery,
  lease,
  handler: row.handler,
  attempt: row.attempt,
  dueAtMs: nowMs - Math.max(0, row.due_for_ms ?? 0),
  isolated: row.isolated,
  ...(row.ordered && { ordered: true }),
  event: workEventOf(row, JSON.parse(row.headers) as Headers),
  body,
})
