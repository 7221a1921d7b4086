import { hash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
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
import { isCorruption, unlessDamaged } from './errors.ts'

/** Without the count of its repeats. */
const EVENT_ALONE = `SELECT ${EVENT_COLUMNS}, ${RECEIVED_COLUMNS}, headers, traceparent, checksum FROM event WHERE uid = ?`

export function prepareFindEvent(db: DatabaseSync): (uid: string) => EventDetail | undefined {
  const event = db.prepare(
    `SELECT ${EVENT_COLUMNS}, ${RECEIVED_COLUMNS}, ${REPEAT_COLUMNS}, headers, traceparent, checksum FROM event ${WITH_REPEATS} WHERE uid = ?`,
  )
  const alone = db.prepare(EVENT_ALONE)
  const deliveries = db.prepare(`SELECT *, ${CAUSE_ID} FROM delivery AS d WHERE key BETWEEN ? AND ? ORDER BY key`)
  const attempts = db.prepare(`SELECT a.*, ${REPLAY_OF_ATTEMPT} FROM attempt AS a WHERE delivery = ? ORDER BY ordinal`)

  return (uid) => {
    const row = unlessDamaged(() => event.get(uid)) ?? alone.get(uid)
    if (row === undefined) return undefined
    const found = row as EventDetailRow
    return eventDetailOf(
      found,
      deliveries.all(firstDeliveryKey(found.key), lastDeliveryKey(found.key)) as DeliveryRow[],
      (deliveryKey) => attempts.all(deliveryKey) as AttemptRow[],
    )
  }
}

export function prepareFindEventForm(db: DatabaseSync): (uid: string) => EventForm | undefined {
  const event = db.prepare(EVENT_ALONE)
  return (uid) => {
    const row = event.get(uid)
    return row === undefined ? undefined : eventFormOf(row as EventDetailRow)
  }
}

export function prepareReadBody(db: DatabaseSync): (uid: string) => Uint8Array<ArrayBuffer> {
  const select = db.prepare('SELECT checksum, bytes FROM event LEFT JOIN event_body USING (key) WHERE uid = ?')

  function read(uid: string) {
    try {
      return select.get(uid)
    } catch (error) {
      if (!isCorruption(error)) throw error
      throw bodyUnreadable(uid, error)
    }
  }

  return (uid) => {
    const row = read(uid)
    if (row === undefined) throw noSuchEvent(uid)
    if (!(row.bytes instanceof Uint8Array) || hash('sha256', row.bytes) !== row.checksum) {
      throw bodyChanged(uid)
    }
    return row.bytes
  }
}
