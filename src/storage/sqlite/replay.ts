import type { DatabaseSync } from 'node:sqlite'
import { HoldfastError } from '../../domain/errors.ts'
import type { Replay } from '../../domain/store.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../common/keys.ts'
import type { Tally } from './tally.ts'

export function prepareReplay(db: DatabaseSync, tally: Tally) {
  const findEvent = db.prepare('SELECT key FROM event WHERE uid = ?')
  const updateEvent = db.prepare('UPDATE event SET status = ?, reasons = ? WHERE key = ?')
  const findDeliveries = db.prepare('SELECT key, handler, state FROM delivery WHERE key BETWEEN ? AND ? ORDER BY key')
  const restart = db.prepare(`
    UPDATE delivery SET state = 'pending', due_at = ?, attempts = 0, isolated = 0, last_error = NULL WHERE key = ?
  `)
  const create = db.prepare(`
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated) VALUES (?, ?, 'pending', ?, 0, 0)
  `)

  return ({ eventUid, handlers, status, reasons }: Replay, nowMs: number): readonly string[] => {
    const event = findEvent.get(eventUid)
    if (event === undefined) throw new HoldfastError('event_not_found', `there is no event ${eventUid}`)
    const eventKey = Number(event.key)
    updateEvent.run(status, reasons.length > 0 ? JSON.stringify(reasons) : null, eventKey)

    const existing = findDeliveries.all(firstDeliveryKey(eventKey), lastDeliveryKey(eventKey))
    const byHandler = new Map(existing.map((delivery) => [delivery.handler, delivery]))
    let nextKey = Number(existing.at(-1)?.key ?? firstDeliveryKey(eventKey) - 1) + 1
    const replayed: string[] = []
    for (const handler of new Set(handlers)) {
      const delivery = byHandler.get(handler)
      if (delivery === undefined) {
        if (nextKey > lastDeliveryKey(eventKey)) throw new HoldfastError('invalid_request', 'too many handlers')
        create.run(nextKey++, handler, nowMs)
        tally.add('pending')
      } else if (delivery.state === 'succeeded' || delivery.state === 'dead') {
        restart.run(nowMs, Number(delivery.key))
        tally.move(delivery.state, 'pending')
      } else continue
      replayed.push(handler)
    }
    return replayed
  }
}
