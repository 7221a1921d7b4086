import { HoldfastError } from '../../domain/errors.ts'
import type { Replay, Replayed } from '../../domain/store.ts'
import { NOT_UNDERSTOOD, takenBy } from '../records/event-identity.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections } from './connections.ts'
import { deliver } from './deliver.ts'
import { escapeText, isUuid } from './escape-text.ts'
import { NAME_CONFLICT } from './successor.ts'

export function createReplay(connections: Connections, clock: DatabaseClock) {
  return ({ eventUid, handlers, status, reasons, only }: Replay): Promise<Replayed> =>
    connections.transaction(async (query) => {
      // Whoever replays the same event waits, and so does retention.
      const [event] = isUuid(eventUid)
        ? await query<{ key: number; variant: number }>('SELECT key, variant FROM event WHERE uid = $1 FOR UPDATE', [
            eventUid,
          ])
        : []
      if (event === undefined) throw new HoldfastError('event_not_found', `there is no event ${eventUid}`)
      const { key } = event
      const isUnderstood = event.variant === NOT_UNDERSTOOD && status !== 'quarantined'
      const [taken] = isUnderstood ? await query<{ by: string | null }>('SELECT understand_3($1) AS by', [key]) : []
      const taker = taken?.by ?? undefined
      const become =
        taker === undefined ? { status, reasons } : { status: 'conflict' as const, reasons: takenBy(taker) }
      await query('UPDATE event SET status = $2, reasons = $3 WHERE key = $1', [
        key,
        become.status,
        become.reasons.length > 0 ? escapeText(JSON.stringify(become.reasons)) : null,
      ])
      if (taker !== undefined) {
        await query(NAME_CONFLICT, [key])
        return { ...become, handlers: [] }
      }
      return { ...become, handlers: await deliver(query, clock, key, handlers, only) }
    })
}
