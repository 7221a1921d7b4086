import { hash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { HoldfastError, messageOf } from '../../domain/errors.ts'
import type { EventDetail } from '../../domain/store.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../records/keys.ts'
import { attemptOf, deliverySummaryOf, EVENT_COLUMNS, eventSummaryOf } from './rows.ts'
import { isCorruption } from './sqlite-errors.ts'

export function prepareFindEvent(db: DatabaseSync): (uid: string) => EventDetail | undefined {
  const event = db.prepare(`SELECT ${EVENT_COLUMNS}, headers, traceparent, checksum FROM event WHERE uid = ?`)
  const deliveries = db.prepare('SELECT * FROM delivery WHERE key BETWEEN ? AND ? ORDER BY key')
  const attempts = db.prepare('SELECT * FROM attempt WHERE delivery = ? ORDER BY ordinal')

  return (uid) => {
    const row = event.get(uid)
    if (row === undefined) return undefined
    const key = Number(row.key)
    return {
      ...eventSummaryOf(row),
      headers: JSON.parse(String(row.headers)) as Record<string, string>,
      ...(typeof row.traceparent === 'string' && { traceparent: row.traceparent }),
      checksum: String(row.checksum),
      deliveries: deliveries.all(firstDeliveryKey(key), lastDeliveryKey(key)).map((delivery) => ({
        ...deliverySummaryOf({ ...delivery, uid: row.uid ?? null, source: row.source ?? null, type: row.type ?? null }),
        history: attempts.all(Number(delivery.key)).map(attemptOf),
      })),
    }
  }
}

export function prepareReadBody(db: DatabaseSync): (uid: string) => Uint8Array<ArrayBuffer> {
  const select = db.prepare('SELECT checksum, bytes FROM event LEFT JOIN event_body USING (key) WHERE uid = ?')

  function read(uid: string) {
    try {
      return select.get(uid)
    } catch (error) {
      if (!isCorruption(error)) throw error
      throw new HoldfastError('body_corrupt', `the stored body of ${uid} cannot be read: ${messageOf(error)}`, {
        cause: error,
      })
    }
  }

  return (uid) => {
    const row = read(uid)
    if (row === undefined) throw new HoldfastError('event_not_found', `there is no event ${uid}`)
    if (!(row.bytes instanceof Uint8Array) || hash('sha256', row.bytes) !== row.checksum) {
      throw new HoldfastError('body_corrupt', `the stored body of ${uid} no longer matches its checksum`)
    }
    return row.bytes
  }
}
