import type { DatabaseSync } from 'node:sqlite'
import { HoldfastError } from '../../domain/errors.ts'
import type { Replay, Replayed } from '../../domain/store.ts'
import { NOT_UNDERSTOOD, takenBy } from '../records/event-identity.ts'
import type { Deliver } from './deliver.ts'
import type { Identities } from './identity.ts'

export function prepareReplay(db: DatabaseSync, identities: Identities, deliver: Deliver) {
  const findEvent = db.prepare('SELECT key, variant FROM event WHERE uid = ?')
  const updateEvent = db.prepare('UPDATE event SET status = ?, reasons = ? WHERE key = ?')

  /** The uid of the event that has its id, where it cannot take it. */
  function takerOf(event: NonNullable<ReturnType<typeof findEvent.get>>, status: Replay['status']): string | undefined {
    if (event.variant !== NOT_UNDERSTOOD || status === 'quarantined') return undefined
    return identities.understand(Number(event.key))
  }

  return ({ eventUid, handlers, status, reasons, only }: Replay, nowMs: number): Replayed => {
    const event = findEvent.get(eventUid)
    if (event === undefined) throw new HoldfastError('event_not_found', `there is no event ${eventUid}`)
    const eventKey = Number(event.key)
    const taker = takerOf(event, status)
    const become = taker === undefined ? { status, reasons } : { status: 'conflict' as const, reasons: takenBy(taker) }
    updateEvent.run(become.status, become.reasons.length > 0 ? JSON.stringify(become.reasons) : null, eventKey)
    if (taker !== undefined) return { ...become, handlers: [] }

    return { ...become, handlers: deliver(eventKey, handlers, nowMs, only) }
  }
}
