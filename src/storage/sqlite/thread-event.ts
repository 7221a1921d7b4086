import { HoldfastError, messageOf } from '../../domain/errors.ts'
import type { NewEvent, TaskLease } from '../../domain/event.ts'
import type { Receipt } from '../../domain/event-store.ts'
import type { OrderKeys } from '../../domain/order-key.ts'
import type { IndexedValue } from '../../domain/payload-index.ts'
import type { EndedTask, TaskEnding } from '../../domain/task.ts'
import type { AppendBatch, AppendResult } from '../shared/append-queue.ts'
import { leasedDeliveries } from '../shared/deliveries.ts'
import { storedVerifiedBy } from '../shared/events.ts'
import { errorOf, type Reply, type WireError } from './errors.ts'

/**
 * The form in which batches of events go to the writer thread, and in which their results come back. Only the functions of this
 * file read and write this form.
 */

/** An event without its body, which travels in one buffer with those of its batch. One flat array clones fastest. */
export type WireEvent = readonly [
  uid: string,
  source: string,
  provider: string,
  id: string,
  type: string,
  createdAt: string,
  createdAtSource: NewEvent['createdAtSource'],
  receivedAtMs: number,
  origin: NewEvent['origin'],
  status: NewEvent['status'],
  /** JSON. */
  reasons: string | null,
  task: string | null,
  taskEnd: TaskEnding | null,
  taskWord: string | null,
  taskLease: TaskLease | null,
  apiVersion: string | null,
  /** JSON. */
  headers: string,
  traceparent: string | null,
  receivedFrom: string | null,
  verifiedBy: string | null,
  bodyBytes: number,
  /** 1: the event is a duplicate if its body is known. */
  byBody: 1 | null,
  unjudged: readonly string[] | null,
  handlers: readonly string[],
  orderKeys: OrderKeys | null,
  /** Indexes into `handlers`, of the handlers whose deliveries are to be leased. */
  leased: readonly number[] | null,
  /** Of all of them, or of each. */
  leaseMs: number | readonly number[] | null,
  indexed: readonly IndexedValue[] | null,
]

const toWire = (event: NewEvent): WireEvent => [
  event.uid,
  event.source,
  event.provider,
  event.id,
  event.type,
  event.createdAt,
  event.createdAtSource,
  event.receivedAtMs,
  event.origin,
  event.status,
  event.reasons.length > 0 ? JSON.stringify(event.reasons) : null,
  event.task ?? null,
  event.taskEnd?.status ?? null,
  event.taskEnd?.word ?? null,
  event.taskLease ?? null,
  event.apiVersion ?? null,
  JSON.stringify(event.headers),
  event.traceparent ?? null,
  event.receivedFrom ?? null,
  storedVerifiedBy(event),
  event.body.length,
  event.dedupe === 'body' ? 1 : null,
  event.unjudged ?? null,
  event.handlers,
  event.orderKeys ?? null,
  event.lease === undefined || event.lease.handlers.length === 0
    ? null
    : event.lease.handlers.map((name) => event.handlers.indexOf(name)),
  event.lease?.leaseMs ?? null,
  event.indexed ?? null,
]

/** An event as the writer thread reads it. */
export const fromWire = ([
  uid,
  source,
  provider,
  id,
  type,
  createdAt,
  createdAtSource,
  receivedAtMs,
  origin,
  status,
  reasons,
  task,
  taskEnd,
  taskWord,
  taskLease,
  apiVersion,
  headers,
  traceparent,
  receivedFrom,
  verifiedBy,
  bodyBytes,
  byBody,
  unjudged,
  handlers,
  orderKeys,
  leased,
  leaseMs,
  indexed,
]: WireEvent) => ({
  uid,
  source,
  provider,
  id,
  type,
  createdAt,
  createdAtSource,
  receivedAtMs,
  origin,
  status,
  reasons,
  task,
  taskEnd,
  taskWord,
  taskLease,
  apiVersion,
  headers,
  traceparent,
  receivedFrom,
  verifiedBy,
  bodyBytes,
  byBody,
  unjudged,
  handlers,
  orderKeys,
  leased,
  leaseMs,
  indexed,
})
export type IncomingEvent = Readonly<ReturnType<typeof fromWire>>

export interface WireBatch {
  readonly id: number
  readonly events: readonly WireEvent[]
  /**
   * All bodies, one after the other; unused bytes may follow. If the batch is one long body, other threads may share its
   * memory.
   */
  readonly bodies: ArrayBuffer | SharedArrayBuffer
  readonly bodyBytes: number
}

/** The buffers that are transferred to another thread and not copied. Shared memory needs neither. */
export const transferable = ({ bodies }: WireBatch): readonly ArrayBuffer[] =>
  bodies instanceof ArrayBuffer ? [bodies] : []

/** The receipt of an event without the leases of its deliveries, which the main thread derives from the event. */
interface WireReceipt extends Omit<Receipt, 'leased'> {
  readonly ended?: EndedTask
  /** The event's key, if deliveries were leased with it. */
  readonly leasedKey?: number
}

/**
 * The common results are short: null means that the event was accepted under its own uid; a number means the same, with its
 * deliveries leased as offered (the number is `leasedKey`).
 */
export type WireResult = null | number | WireReceipt | WireError

function fromWireResult(event: NewEvent, result: WireResult): AppendResult {
  if (result === null) return { outcome: 'accepted', uid: event.uid }
  if (typeof result === 'number') {
    return { outcome: 'accepted', uid: event.uid, leased: leasedDeliveries(event, result, event.uid) }
  }
  if ('error' in result) return errorOf(result)
  const { leasedKey, ...receipt } = result
  return leasedKey === undefined ? receipt : { ...receipt, leased: leasedDeliveries(event, leasedKey, event.uid) }
}

interface Posted {
  readonly id: number
  readonly events: readonly NewEvent[]
  readonly resolve: (results: readonly AppendResult[]) => void
  readonly reject: (error: HoldfastError) => void
}

/** Batches of events that the writer thread is to write, each answered once. */
export class WireBatches {
  readonly #post: (batch: WireBatch) => void
  readonly #nextId: () => number
  // Not a Map: V8 links each table that a Map has outgrown to the next, so that batches which were answered long ago would
  // outlive the young generation.
  readonly #posted: Posted[] = []

  /** `nextId` gives ids that no other request to this thread has. */
  constructor(post: (batch: WireBatch) => void, nextId: () => number) {
    this.#post = post
    this.#nextId = nextId
  }

  write({ events, bodyBytes }: AppendBatch): Promise<readonly AppendResult[]> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId()
      try {
        this.#post({ id, events: events.map(toWire), bodies: bodiesOf(events, bodyBytes), bodyBytes })
        this.#posted.push({ id, events, resolve, reject })
      } catch (error) {
        // The event holds a value that cannot be sent to a thread.
        reject(new HoldfastError('invalid_request', messageOf(error)))
      }
    })
  }

  /** Returns false if no batch waits for this reply. */
  answer(reply: Reply): boolean {
    const at = this.#posted.findIndex(({ id }) => id === reply.id)
    const [batch] = at < 0 ? [] : this.#posted.splice(at, 1)
    if (batch === undefined) return false
    if ('failed' in reply) batch.reject(errorOf(reply.failed))
    else batch.resolve(resultsOf(batch.events, reply.value as readonly WireResult[]))
    return true
  }

  failAll(error: HoldfastError): void {
    for (const { reject } of this.#posted.splice(0)) reject(error)
  }
}

const resultsOf = (events: readonly NewEvent[], results: readonly WireResult[]): readonly AppendResult[] =>
  events.map((event, at) => fromWireResult(event, results[at] ?? null))

/** A copy, since the main thread still needs the bytes; except for a single body that is shared already, as long ones are. */
function bodiesOf(events: readonly NewEvent[], bodyBytes: number): ArrayBuffer | SharedArrayBuffer {
  const [first] = events
  if (first !== undefined && events.length === 1 && isShared(first.body)) return first.body.buffer
  const bodies = Buffer.allocUnsafeSlow(bodyBytes)
  let offset = 0
  for (const { body } of events) {
    bodies.set(body, offset)
    offset += body.length
  }
  return bodies.buffer
}

const isShared = (body: Uint8Array): body is Uint8Array<SharedArrayBuffer> =>
  body.buffer instanceof SharedArrayBuffer && body.byteOffset === 0
