import { checksumOf } from '../../domain/checksum.ts'
import { toIso } from '../../domain/clock.ts'
import { isHoldfastError, messageOf } from '../../domain/errors.ts'
import type { Receipt } from '../../domain/store.ts'
import type { EndedTask, ResolvedBy, TaskEnding } from '../../domain/task.ts'
import type { AppendBatch, AppendResult, EventRow, Kept } from '../records/event-row.ts'
import { firstDeliveryKey } from '../records/keys.ts'
import type { WireError } from '../sqlite/thread-error.ts'
import type { Days } from './body-partitions.ts'
import type { Connections, Row } from './connections.ts'
import { createContest, isConflict } from './contest.ts'
import type { Damage } from './damage.ts'
import type { DatabaseClock } from './database-clock.ts'
import { isDamage } from './errors.ts'
import { createFindJudged } from './judged.ts'
import type { Leases } from './leases.ts'
import type { SignsOfLife } from './signs-of-life.ts'
import { toText, toTextOrNull } from './text.ts'

const APPEND = { name: 'append', text: 'SELECT * FROM append_3($1, $2, $3, $4, $5, $6, $7)' }

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

export interface AppendParts {
  readonly connections: Connections
  readonly clock: DatabaseClock
  readonly days: Days
  readonly leases: Leases
  readonly signs: SignsOfLife
  readonly damage: Damage
}

interface Sent {
  readonly event: EventRow
  readonly body: Uint8Array
  /** What makes its time of receipt one of the database's clock. The same for all of a batch. */
  readonly aheadMs: number
}

/**
 * Keeps batches of events, each in one statement. What became of each event: null if it was simply accepted. An event that
 * is at fault itself, or leads over what the server cannot read, is answered with its error and leaves its neighbours alone.
 */
export function createAppend({ connections, clock, days, leases, signs, damage }: AppendParts) {
  const findJudged = createFindJudged(connections)
  const contest = createContest(connections, clock)

  async function send(batch: readonly Sent[]): Promise<readonly AppendResult[]> {
    if (!batch.some(({ event }) => event[19] !== null)) return sendUnder(null, batch)
    await signs.begin()
    // A lease of a store that others take for dead would be lost at once: nothing is leased then, and all is claimed later.
    return signs.isHeard() ? leases.asking((lease) => sendUnder(lease, batch)) : sendUnder(null, batch)
  }

  async function sendUnder(lease: string | null, batch: readonly Sent[]): Promise<readonly AppendResult[]> {
    const values = await valuesOf(batch, clock, lease)
    const rows = await days.withPartitions(
      () => batch.map(({ event, aheadMs }) => event[6] + aheadMs),
      () => connections.run<AppendRow>('append', APPEND, values),
    )
    const results: AppendResult[] = Array(batch.length).fill(null)
    for (const row of rows) results[row.n - 1] = resultOf(row, lease)
    if (lease !== null) for (const row of rows) hold(row, batch[row.n - 1]?.event, lease)
    return results
  }

  function hold({ leased_key }: AppendRow, event: EventRow | undefined, lease: string): void {
    if (leased_key === null || event === undefined) return
    for (const place of event[19] ?? []) leases.hold(firstDeliveryKey(leased_key) + place, lease, event[20] ?? 0)
  }

  return async ({ events, bodies }: AppendBatch): Promise<readonly AppendResult[]> => {
    const aheadMs = clock.aheadMs()
    let offset = 0
    const batch = events.map((event) => {
      const body = new Uint8Array(bodies, offset, event[14])
      offset += event[14]
      return { event, body, aheadMs }
    })
    const judged = new Map<Sent, AppendResult>()
    for (const sent of batch) {
      const known = sent.event[23] === null ? undefined : await findJudged(sent.event, sent.body)
      if (known !== undefined) judged.set(sent, known)
    }
    if (judged.size === 0) return sendContesting(batch)
    const results = (await sendContesting(batch.filter((sent) => !judged.has(sent)))).values()
    return batch.map((sent) => judged.get(sent) ?? results.next().value ?? null)
  }

  async function sendContesting(batch: readonly Sent[]): Promise<readonly AppendResult[]> {
    const results = await sendTogether(batch)
    if (!results.some(isConflict)) return results
    const contested: AppendResult[] = []
    for (const [at, result] of results.entries())
      contested.push(isConflict(result) ? await contestAlone(result, batch[at]) : result)
    return contested
  }

  async function contestAlone(result: Kept, sent: Sent | undefined): Promise<AppendResult> {
    try {
      return sent === undefined ? result : await contest(result, sent.event)
    } catch (error) {
      return wireErrorOf(error)
    }
  }

  async function sendTogether(batch: readonly Sent[]): Promise<readonly AppendResult[]> {
    if (batch.length === 0) return []
    try {
      return await send(batch)
    } catch (error) {
      if (isDamage(error)) return sendApart(batch, (await damage.found(error)) === 'mended')
      if (isHoldfastError(error, 'invalid_request')) return sendApart(batch, true)
      throw error
    }
  }

  /** One of them cannot be kept, and none was: each on its own. Where it is not its own fault, it may do so without a lease. */
  async function sendApart(batch: readonly Sent[], isLeasing: boolean): Promise<readonly AppendResult[]> {
    const results: AppendResult[] = []
    for (const event of batch) {
      try {
        results.push(...(isLeasing ? await send([event]) : await sendUnder(null, [event])))
      } catch (error) {
        results.push(wireErrorOf(error))
      }
    }
    return results
  }
}

const wireErrorOf = (error: unknown): WireError => ({
  error: isHoldfastError(error) ? error.code : 'unavailable',
  message: messageOf(error),
})

async function valuesOf(batch: readonly Sent[], clock: DatabaseClock, lease: string | null) {
  const checksums: string[] = []
  for (const { body } of batch) {
    const checksum = checksumOf(body)
    checksums.push(typeof checksum === 'string' ? checksum : await checksum)
  }
  const rows = batch.map(({ event, aheadMs }, at) => ({
    ...jsonOf(event, at + 1, checksums[at] ?? ''),
    received_at: event[6] + aheadMs,
    ...(event[21] === 'received' && { created_at: toIso(event[6] + aheadMs) }),
    ...(lease !== null && event[19] !== null && { leased: event[19], lease_ms: event[20] }),
  }))
  const isEnding = batch.some(({ event }) => event[16] !== null)
  const [first] = batch
  const bodies = batch.length === 1 && first !== undefined ? bufferOf(first.body) : joined(batch)
  const aheadMs = first?.aheadMs ?? 0
  return [clock.givenMs(), clock.localMs() + aheadMs, batch.length, isEnding, lease, JSON.stringify(rows), bodies]
}

const bufferOf = ({ buffer, byteOffset, length }: Uint8Array): Buffer => Buffer.from(buffer, byteOffset, length)
const joined = (batch: readonly Sent[]): Buffer => Buffer.concat(batch.map(({ body }) => body))

/** As `append_3` reads it; what is absent is null there. */
function jsonOf(event: EventRow, n: number, checksum: string) {
  const [uid, source, provider, id, type, createdAt, , origin, status, reasons, task, apiVersion] = event
  const [headers, traceparent, size, handlers] = [event[12], event[13], event[14], event[15]]
  const [taskEnd, taskWord, asked] = [event[16], event[17], event[18]]
  return {
    n,
    uid,
    source,
    provider,
    id: toText(id),
    type: toText(type),
    created_at: toText(createdAt),
    origin,
    status,
    ...(reasons !== null && { reasons: toText(reasons) }),
    ...(task !== null && { task: toText(task) }),
    ...(apiVersion !== null && { api_version: toText(apiVersion) }),
    headers: toText(headers),
    ...(traceparent !== null && { traceparent: toText(traceparent) }),
    size,
    checksum,
    ...(handlers.length > 0 && { handlers: handlers.map(toText) }),
    ...(taskEnd !== null && { task_end: taskEnd, task_word: toTextOrNull(taskWord) }),
    created_at_source: event[21],
    ...(event[22] !== null && { by_body: event[22] }),
    ...(asked !== null && {
      asked_uid: asked.uid,
      asked_lease: asked.lease,
      asked_by: asked.by,
      asked_word: toTextOrNull(asked.word),
      asked_error: toTextOrNull(asked.error),
    }),
  }
}

function resultOf(row: AppendRow, lease: string | null): AppendResult {
  return {
    outcome: row.outcome,
    uid: row.uid,
    ...(row.dead !== null && { dead: JSON.parse(row.dead) as string[] }),
    ...(row.task_uid !== null && { ended: endedOf(row, row.task_uid) }),
    ...(row.leased_key !== null && lease !== null && { leasedKey: row.leased_key, lease }),
  }
}

const endedOf = (row: AppendRow, uid: string): EndedTask => ({
  uid,
  source: row.task_source,
  id: row.task_id ?? undefined,
  status: row.task_status,
  by: row.task_by,
})
