import { checksumOf } from '../../domain/checksum.ts'
import { toIso } from '../../domain/clock.ts'
import type { LeasedDelivery } from '../../domain/delivery.ts'
import { HoldfastError, isHoldfastError, messageOf } from '../../domain/errors.ts'
import type { NewEvent } from '../../domain/event.ts'
import type { Receipt } from '../../domain/event-store.ts'
import { orderKeyFor } from '../../domain/order-key.ts'
import type { EndedTask, ResolvedBy, TaskEnding } from '../../domain/task.ts'
import type { AppendResult, WriteBatch } from '../shared/append-queue.ts'
import { leasedDeliveries, offeredLeaseMs } from '../shared/deliveries.ts'
import { storedVerifiedBy } from '../shared/events.ts'
import type { BodyPartitions } from './body-partitions.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Row, Statement, Value } from './connections.ts'
import type { Damage } from './damage.ts'
import { isDamage } from './errors.ts'
import { escapeText, escapeTextOrNull } from './escape-text.ts'
import { type Conflict, createFindJudged, createResolveConflict, isConflict } from './event-identity.ts'
import type { Heartbeat } from './heartbeat.ts'
import type { Leases } from './own-leases.ts'
import { questionJson } from './questions.ts'

const APPEND = { name: 'append', text: 'SELECT * FROM append_7($1, $2, $3, $4, $5, $6, $7)' }

interface AppendRow extends Row {
  readonly n: number
  readonly outcome: Receipt['outcome']
  readonly uid: string
  readonly task_uid: string | null
  readonly task_source: string
  readonly task_id: string | null
  readonly task_status: TaskEnding
  readonly task_by: ResolvedBy
  readonly leased_key: number | null
  /** JSON. */
  readonly dead: string | null
}

interface AppendParts {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly partitions: BodyPartitions
  readonly leases: Leases
  readonly heartbeat: Heartbeat
  readonly damage: Damage
}

const APPEND_INDEXED = {
  name: 'append-indexed',
  text: 'SELECT * FROM append_indexed_3($1, $2, $3, $4, $5, $6, $7, $8)',
}

/** The statement for events, and its values: a longer one if values of their payloads are indexed. */
function statementFor(events: readonly NewEvent[], values: readonly Value[]): readonly [Statement, readonly Value[]] {
  const rows = events.flatMap(({ uid, source, indexed = [] }) =>
    indexed.map(([path, value]) => ({ uid, source, path: escapeText(path), value: escapeText(value) })),
  )
  return rows.length === 0 ? [APPEND, values] : [APPEND_INDEXED, [...values, JSON.stringify(rows)]]
}

/** The events that one statement writes. */
interface Batch {
  readonly events: readonly NewEvent[]
  /** Added to the times of receipt of the events, this makes them times of the database's clock. */
  readonly aheadMs: number
}

type Send = (batch: Batch, isLeasing: boolean) => Promise<readonly AppendResult[]>

/**
 * Writes batches of events, each in one statement. An event that is itself at fault, or whose rows lead to a damaged page, is
 * answered with its own error; the other events are stored.
 */
export function createAppend(parts: AppendParts): WriteBatch {
  const { connections, clock, damage } = parts
  const findJudged = createFindJudged(connections)
  const resolveConflict = createResolveConflict(connections, clock)
  const send = createSend(parts)

  return async ({ events }) => {
    const aheadMs = clock.aheadMs()
    const judged: (Receipt | undefined)[] = []
    for (const event of events) judged.push(event.unjudged === undefined ? undefined : await findJudged(event, aheadMs))
    const rest = events.filter((_, at) => judged[at] === undefined)
    const results = (await sendResolving({ events: rest, aheadMs })).values()
    return judged.flatMap((receipt) => receipt ?? results.next().value ?? [])
  }

  async function sendResolving(batch: Batch): Promise<readonly AppendResult[]> {
    const results = await sendTogether(batch)
    if (!results.some(isConflict)) return results
    const resolved: AppendResult[] = []
    for (const [at, result] of results.entries())
      resolved.push(isConflict(result) ? await resolveAlone(result, batch.events[at]) : result)
    return resolved
  }

  async function resolveAlone(conflict: Conflict, event: NewEvent | undefined): Promise<AppendResult> {
    try {
      return event === undefined ? conflict : await resolveConflict(conflict, event)
    } catch (error) {
      return asHoldfastError(error)
    }
  }

  async function sendTogether(batch: Batch): Promise<readonly AppendResult[]> {
    if (batch.events.length === 0) return []
    try {
      return await send(batch, true)
    } catch (error) {
      if (isDamage(error)) return sendApart(send, batch, (await damage.found(error)) === 'mended')
      if (isHoldfastError(error, 'invalid_request')) return sendApart(send, batch, true)
      throw error
    }
  }
}

/**
 * Sends each event of a batch by itself, because one event failed the batch and none was stored. If the batch failed by damage,
 * `isLeasing` may be false: an event may then pass without a lease.
 */
async function sendApart(send: Send, { events, aheadMs }: Batch, isLeasing: boolean): Promise<readonly AppendResult[]> {
  const results: AppendResult[] = []
  for (const event of events) {
    try {
      results.push(...(await send({ events: [event], aheadMs }, isLeasing)))
    } catch (error) {
      results.push(asHoldfastError(error))
    }
  }
  return results
}

/** Writes a batch in one statement, all events or none. */
function createSend({ connections, clock, partitions, leases, heartbeat }: AppendParts): Send {
  return async (batch, isLeasing) => {
    if (!isLeasing || !batch.events.some(isOfferingLease)) return sendUnder(null, batch)
    await heartbeat.begin()
    // Other stores may take this one for gone and reclaim its leases. Then the append leases nothing, and later claims find the
    // deliveries.
    return heartbeat.isFresh() ? leases.asking((lease) => sendUnder(lease, batch)) : sendUnder(null, batch)
  }

  async function sendUnder(lease: string | null, batch: Batch): Promise<readonly AppendResult[]> {
    const { events, aheadMs } = batch
    const values = await valuesOf(batch, clock, lease)
    const rows = await partitions.withPartitions(
      () => events.map(({ receivedAtMs }) => receivedAtMs + aheadMs),
      () => connections.run<AppendRow>('append', ...statementFor(events, values)),
    )
    const rowsByPlace = new Map(rows.map((row) => [row.n - 1, row]))
    return events.map((event, place) => {
      const row = rowsByPlace.get(place)
      return row === undefined ? { outcome: 'accepted', uid: event.uid } : resultOf(row, event, lease)
    })
  }

  function resultOf(row: AppendRow, event: NewEvent, lease: string | null): AppendResult {
    const { outcome, uid, dead, task_uid: taskUid, leased_key: eventKey } = row
    return {
      outcome,
      uid,
      ...(dead !== null && { dead: JSON.parse(dead) as string[] }),
      ...(taskUid !== null && { ended: endedOf(row, taskUid) }),
      ...(eventKey !== null && lease !== null && { leased: holdLeases(event, eventKey, lease) }),
    }
  }

  function holdLeases(event: NewEvent, eventKey: number, lease: string): readonly LeasedDelivery[] {
    const leased = leasedDeliveries(event, eventKey, lease)
    const leaseMs = event.lease?.leaseMs ?? 0
    for (const [at, { deliveryId }] of leased.entries()) leases.hold(deliveryId, lease, offeredLeaseMs(leaseMs, at))
    return leased
  }
}

const isOfferingLease = ({ lease }: NewEvent): boolean => lease !== undefined && lease.handlers.length > 0

const asHoldfastError = (error: unknown): HoldfastError =>
  isHoldfastError(error) ? error : new HoldfastError('unavailable', messageOf(error))

async function valuesOf({ events, aheadMs }: Batch, clock: DatabaseClock, lease: string | null) {
  const checksums: string[] = []
  for (const { body } of events) {
    const checksum = checksumOf(body)
    checksums.push(typeof checksum === 'string' ? checksum : await checksum)
  }
  const rows = events.map((event, at) => {
    const receivedAtMs = event.receivedAtMs + aheadMs
    return {
      ...jsonOf(event, at + 1, checksums[at] ?? ''),
      ...questionOf(event, aheadMs),
      received_at: receivedAtMs,
      ...(event.createdAtSource === 'received' && { created_at: toIso(receivedAtMs) }),
      ...(lease !== null && offerOf(event)),
    }
  })
  const isEnding = events.some(({ taskEnd }) => taskEnd !== undefined)
  const nowMs = clock.localMs() + aheadMs
  return [clock.givenMs(), nowMs, events.length, isEnding, lease, JSON.stringify(rows), bodiesOf(events)]
}

/** The question from which the event came. */
function questionOf({ taskLease }: NewEvent, aheadMs: number) {
  const question = taskLease?.question
  if (question === undefined) return undefined
  return { asked_at: Math.round(question.atMs + aheadMs), asked_question: questionJson(question) }
}

function offerOf({ handlers, lease }: NewEvent) {
  if (lease === undefined || lease.handlers.length === 0) return undefined
  const { leaseMs } = lease
  const leased = lease.handlers.map((name) => handlers.indexOf(name))
  return { leased, ...(typeof leaseMs === 'number' ? { lease_ms: leaseMs } : { leases_ms: leaseMs }) }
}

/** All bodies, one after the other. */
function bodiesOf(events: readonly NewEvent[]): Buffer {
  const [first] = events
  if (first === undefined || events.length > 1) return Buffer.concat(events.map(({ body }) => body))
  const { buffer, byteOffset, length } = first.body
  return Buffer.from(buffer, byteOffset, length)
}

/** The form that `append_7` reads, where an absent field is null. */
function jsonOf(event: NewEvent, n: number, checksum: string) {
  const { reasons, task, apiVersion, traceparent, handlers, orderKeys, taskEnd, taskLease } = event
  return {
    n,
    uid: event.uid,
    source: event.source,
    provider: event.provider,
    id: escapeText(event.id),
    type: escapeText(event.type),
    created_at: escapeText(event.createdAt),
    origin: event.origin,
    status: event.status,
    ...(reasons.length > 0 && { reasons: escapeText(JSON.stringify(reasons)) }),
    ...(task !== undefined && { task: escapeText(task) }),
    ...(apiVersion !== undefined && { api_version: escapeText(apiVersion) }),
    headers: escapeText(JSON.stringify(event.headers)),
    ...(traceparent !== undefined && { traceparent: escapeText(traceparent) }),
    ...(event.receivedFrom !== undefined && { received_from: event.receivedFrom }),
    ...(event.verifiedBy !== undefined && { verified_by: storedVerifiedBy(event) }),
    size: event.body.length,
    checksum,
    ...(handlers.length > 0 && { handlers: handlers.map(escapeText) }),
    ...(orderKeys !== undefined && {
      order_keys: handlers.map((name) => orderKeyFor(orderKeys, name)),
      order_text: escapeText(JSON.stringify(orderKeys)),
    }),
    ...(taskEnd !== undefined && { task_end: taskEnd.status, task_word: escapeTextOrNull(taskEnd.word) }),
    created_at_source: event.createdAtSource,
    ...(event.dedupe === 'body' && { by_body: 1 }),
    ...(event.unjudged !== undefined && { unjudged: event.unjudged }),
    ...(taskLease !== undefined && {
      asked_uid: taskLease.uid,
      asked_lease: taskLease.lease,
      asked_by: taskLease.by,
      asked_word: escapeTextOrNull(taskLease.providerStatus),
      asked_error: escapeTextOrNull(taskLease.error),
    }),
  }
}

const endedOf = (row: AppendRow, uid: string): EndedTask => ({
  uid,
  source: row.task_source,
  id: row.task_id ?? undefined,
  status: row.task_status,
  by: row.task_by,
})
