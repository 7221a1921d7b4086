import type { DatabaseSync } from 'node:sqlite'
import type { Replay, Replayed } from '../../domain/delivery-queue.ts'
import { NOT_UNDERSTOOD, noSuchEvent, replayedAs, storedReasons } from '../records/events.ts'
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

  return (replay: Replay, nowMs: number): Replayed => {
    const { eventUid, handlers, only } = replay
    const event = findEvent.get(eventUid)
    if (event === undefined) throw noSuchEvent(eventUid)
    const eventKey = Number(event.key)
    const taker = takerOf(event, replay.status)
    const become = replayedAs(replay, taker)
    updateEvent.run(become.status, storedReasons(become.reasons), eventKey)
    if (taker !== undefined) return { ...become, handlers: [] }

    return { ...become, handlers: deliver(eventKey, handlers, nowMs, only) }
  }
}
