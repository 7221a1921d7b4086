import type { Replay, Replayed } from '../../domain/delivery-queue.ts'
import { NOT_UNDERSTOOD, noSuchEvent, replayedAs, storedReasons } from '../records/events.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import { deliver } from './deliver.ts'
import { escapeTextOrNull, isUuid } from './escape-text.ts'
import { NAME_CONFLICT } from './successor.ts'

export function createReplay(connections: Connections, clock: DatabaseClock) {
  return (replay: Replay): Promise<Replayed> =>
    connections.transaction(async (query) => {
      const { eventUid, handlers, only } = replay
      // The lock makes another replay of the event wait, and retention too.
      const [event] = isUuid(eventUid)
        ? await query<{ key: number; variant: number }>('SELECT key, variant FROM event WHERE uid = $1 FOR UPDATE', [
            eventUid,
          ])
        : []
      if (event === undefined) throw noSuchEvent(eventUid)
      const { key } = event
      const isUnderstood = event.variant === NOT_UNDERSTOOD && replay.status !== 'quarantined'
      const [taken] = isUnderstood ? await query<{ by: string | null }>('SELECT understand_3($1) AS by', [key]) : []
      const taker = taken?.by ?? undefined
      const become = replayedAs(replay, taker)
      await query('UPDATE event SET status = $2, reasons = $3 WHERE key = $1', [
        key,
        become.status,
        escapeTextOrNull(storedReasons(become.reasons)),
      ])
      if (taker !== undefined) {
        await query(NAME_CONFLICT, [key])
        return { ...become, handlers: [] }
      }
      return { ...become, handlers: await deliver(query, clock, key, handlers, only) }
    })
}
