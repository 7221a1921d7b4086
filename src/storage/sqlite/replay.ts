import type { DatabaseSync } from 'node:sqlite'
import { HoldfastError } from '../../domain/errors.ts'
import type { Replay, Replayed } from '../../domain/store.ts'
import { NOT_UNDERSTOOD, takenBy } from '../common/event-row.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../common/keys.ts'
import type { Identities } from './identity.ts'
import type { Tally } from './tally.ts'

export function prepareReplay(db: DatabaseSync, identities: Identities, tally: Tally) {
  const findEvent = db.prepare('SELECT key, source, id, variant, checksum, by_body FROM event WHERE uid = ?')
  const updateEvent = db.prepare('UPDATE event SET status = ?, reasons = ? WHERE key = ?')
  const findDeliveries = db.prepare('SELECT key, handler, state FROM delivery WHERE key BETWEEN ? AND ? ORDER BY key')
  const restart = db.prepare(`
    UPDATE delivery SET state = 'pending', due_at = ?, attempts = 0, isolated = 0, last_error = NULL WHERE key = ?
  `)
  const create = db.prepare(`
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated) VALUES (?, ?, 'pending', ?, 0, 0)
  `)

  /** The uid of the event that has its id, where it cannot take it. */
  function takerOf(event: NonNullable<ReturnType<typeof findEvent.get>>, status: Replay['status']): string | undefined {
    if (event.variant !== NOT_UNDERSTOOD || status === 'quarantined') return undefined
    const [source, id, checksum] = [String(event.source), String(event.id), String(event.checksum)]
    return identities.understand({ key: Number(event.key), source, id, checksum, byBody: event.by_body === 1 })
  }

  return ({ eventUid, handlers, status, reasons, only }: Replay, nowMs: number): Replayed => {
    const event = findEvent.get(eventUid)
    if (event === undefined) throw new HoldfastError('event_not_found', `there is no event ${eventUid}`)
    const eventKey = Number(event.key)
    const taker = takerOf(event, status)
    const become = taker === undefined ? { status, reasons } : { status: 'conflict' as const, reasons: takenBy(taker) }
    updateEvent.run(become.status, become.reasons.length > 0 ? JSON.stringify(become.reasons) : null, eventKey)
    if (taker !== undefined) return { ...become, handlers: [] }

    const existing = findDeliveries.all(firstDeliveryKey(eventKey), lastDeliveryKey(eventKey))
    const byHandler = new Map(existing.map((delivery) => [delivery.handler, delivery]))
    let nextKey = Number(existing.at(-1)?.key ?? firstDeliveryKey(eventKey) - 1) + 1
    const replayed: string[] = []
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
      replayed.push(handler)
    }
    return { ...become, handlers: replayed }
  }
}
