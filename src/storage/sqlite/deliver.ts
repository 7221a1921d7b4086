import type { DatabaseSync } from 'node:sqlite'
import { HoldfastError } from '../../domain/errors.ts'
import type { Replay } from '../../domain/store.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../records/keys.ts'
import type { Tally } from './tally.ts'

/** As of `Store.replay`: makes an event's deliveries to these handlers pending, and gives those that were not. */
export type Deliver = (
  eventKey: number,
  handlers: readonly string[],
  nowMs: number,
  only?: Replay['only'],
) => readonly string[]

export function prepareDeliver(db: DatabaseSync, tally: Tally): Deliver {
  const findDeliveries = db.prepare('SELECT key, handler, state FROM delivery WHERE key BETWEEN ? AND ? ORDER BY key')
  const restart = db.prepare(`
    UPDATE delivery SET state = 'pending', due_at = ?, attempts = 0, isolated = 0, last_error = NULL WHERE key = ?
  `)
  const create = db.prepare(`
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated) VALUES (?, ?, 'pending', ?, 0, 0)
  `)

  return (eventKey, handlers, nowMs, only) => {
    const existing = findDeliveries.all(firstDeliveryKey(eventKey), lastDeliveryKey(eventKey))
    const byHandler = new Map(existing.map((delivery) => [delivery.handler, delivery]))
    let nextKey = Number(existing.at(-1)?.key ?? firstDeliveryKey(eventKey) - 1) + 1
    const delivered: string[] = []
    for (const handler of new Set(handlers)) {
      const delivery = byHandler.get(handler)
      if (only === 'dead' && delivery?.state !== 'dead') continue
      if (delivery === undefined) {
        if (nextKey > lastDeliveryKey(eventKey)) throw new HoldfastError('invalid_request', 'too many handlers')
        create.run(nextKey++, handler, nowMs)
        tally.add('pending')
      } else if (delivery.state === 'succeeded' || delivery.state === 'dead') {
        restart.run(nowMs, Number(delivery.key))
        tally.move(delivery.state, 'pending')
      } else continue
      delivered.push(handler)
    }
    return delivered
  }
}
