import { checksumOf } from '../../domain/checksum.ts'
import type { EventDetail, EventForm } from '../../domain/event-store.ts'
import {
  type AttemptRow,
  CAUSE_ID,
  type DeliveryRow,
  firstDeliveryKey,
  lastDeliveryKey,
  REPLAY_OF_ATTEMPT,
} from '../shared/deliveries.ts'
import {
  bodyChanged,
  bodyUnreadable,
  EVENT_COLUMNS,
  type EventDetailRow,
  eventDetailOf,
  eventFormOf,
  noSuchEvent,
  RECEIVED_COLUMNS,
  REPEAT_COLUMNS,
  WITH_REPEATS,
} from '../shared/events.ts'
import type { Connections, Row } from './connections.ts'
import { isDamage } from './errors.ts'
import { isUuid } from './escape-text.ts'

const FROM = 'FROM event LEFT JOIN event_body AS b ON b.day = day_1(event.received_at) AND b.key = event.key'
const HEAVY = "encode(event.checksum, 'hex') AS checksum, b.headers, b.traceparent"
const EVENT_ALONE = {
  name: 'event-alone',
  text: `SELECT ${EVENT_COLUMNS}, ${RECEIVED_COLUMNS}, ${HEAVY} ${FROM} WHERE event.uid = $1`,
}
const EVENT = {
  name: 'event',
  text: `SELECT ${EVENT_COLUMNS}, ${RECEIVED_COLUMNS}, ${REPEAT_COLUMNS}, ${HEAVY} ${FROM} ${WITH_REPEATS} WHERE event.uid = $1`,
}
const DELIVERIES = {
  name: 'deliveries-of',
  text: `SELECT key, handler, state, due_at, attempts, last_error, ${CAUSE_ID} FROM delivery AS d WHERE key BETWEEN $1 AND $2 ORDER BY key`,
}
const ATTEMPTS = {
  name: 'attempts-of',
  text: `
    SELECT a.*, d.detail, ${REPLAY_OF_ATTEMPT} FROM attempt AS a LEFT JOIN attempt_detail AS d ON d.delivery = a.delivery AND d.ordinal = a.ordinal
    WHERE a.delivery BETWEEN $1 AND $2 ORDER BY a.delivery, a.ordinal
  `,
}
/** How many bytes of a body one statement reads. They arrive as hex text, which takes two milliseconds per MiB to parse. */
export const SLICE_BYTES = 1_048_576
const BODY = {
  name: 'body',
  text: `
    SELECT encode(event.checksum, 'hex') AS checksum, length(b.bytes) AS size,
      substring(b.bytes FROM $2 FOR ${SLICE_BYTES}) AS bytes ${FROM} WHERE event.uid = $1
  `,
}

export function createFindEvent(connections: Connections) {
  async function read(uid: string): Promise<readonly EventDetailRow[]> {
    try {
      return await connections.run<EventDetailRow>('read', EVENT, [uid])
    } catch (error) {
      if (!isDamage(error)) throw error
      return connections.run<EventDetailRow>('read', EVENT_ALONE, [uid])
    }
  }

  return async (uid: string): Promise<EventDetail | undefined> => {
    if (!isUuid(uid)) return undefined
    const [row] = await read(uid)
    if (row === undefined) return undefined
    const keys = [firstDeliveryKey(row.key), lastDeliveryKey(row.key)]
    const deliveries = await connections.run<DeliveryRow>('read', DELIVERIES, keys)
    const attempts = await connections.run<AttemptRow>('read', ATTEMPTS, keys)
    return eventDetailOf(row, deliveries, (key) => attempts.filter(({ delivery }) => delivery === key))
  }
}

export function createFindEventForm(connections: Connections) {
  return async (uid: string): Promise<EventForm | undefined> => {
    if (!isUuid(uid)) return undefined
    const [row] = await connections.run<EventDetailRow>('read', EVENT_ALONE, [uid])
    return row && eventFormOf(row)
  }
}

export function createReadBody(connections: Connections) {
  async function slice(uid: string, from: number): Promise<BodyRow> {
    try {
      const [row] = isUuid(uid) ? await connections.run<BodyRow>('read', BODY, [uid, from + 1]) : []
      if (row !== undefined) return row
    } catch (error) {
      if (!isDamage(error)) throw error
      throw bodyUnreadable(uid, error)
    }
    throw noSuchEvent(uid)
  }

  /** Reads the whole body into shared memory, so that other threads can read it without a copy. */
  async function whole(uid: string, first: Buffer, size: number): Promise<Buffer> {
    const body = Buffer.from(new SharedArrayBuffer(size))
    body.set(first)
    for (let at = first.length; at < size; at += SLICE_BYTES) body.set((await slice(uid, at)).bytes ?? [], at)
    return body
  }

  return async (uid: string): Promise<Uint8Array> => {
    const { checksum, size, bytes } = await slice(uid, 0)
    const body = bytes === null || bytes.length === size ? bytes : await whole(uid, bytes, size)
    if (body === null || (await checksumOf(body)) !== checksum) throw bodyChanged(uid)
    return body
  }
}

interface BodyRow extends Row {
  readonly checksum: string
  /** The size of the whole body. */
  readonly size: number
  readonly bytes: Buffer | null
}
