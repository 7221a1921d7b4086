import { HoldfastError } from '../../domain/errors.ts'
import type { Replay, Replayed } from '../../domain/store.ts'
import { NOT_UNDERSTOOD, takenBy } from '../common/event-row.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../common/keys.ts'
import type { Connections } from './connections.ts'
import type { DatabaseClock } from './database-clock.ts'
import { isUuid, toText } from './text.ts'

export function createReplay(connections: Connections, clock: DatabaseClock) {
  return ({ eventUid, handlers, status, reasons, only }: Replay): Promise<Replayed> =>
    connections.transaction(async (query) => {
      // Whoever replays the same event waits, and so does retention.
      const [event] = isUuid(eventUid)
        ? await query<{ key: number; variant: number; now: number }>(
            'SELECT key, variant, clock_1($2) AS now FROM event WHERE uid = $1 FOR UPDATE',
            [eventUid, clock.givenMs()],
          )
        : []
      if (event === undefined) throw new HoldfastError('event_not_found', `there is no event ${eventUid}`)
      const { key, now } = event
      const isUnderstood = event.variant === NOT_UNDERSTOOD && status !== 'quarantined'
      const [taken] = isUnderstood ? await query<{ by: string | null }>('SELECT understand_3($1) AS by', [key]) : []
      const taker = taken?.by ?? undefined
      const become =
        taker === undefined ? { status, reasons } : { status: 'conflict' as const, reasons: takenBy(taker) }
      await query('UPDATE event SET status = $2, reasons = $3 WHERE key = $1', [
        key,
        become.status,
        become.reasons.length > 0 ? toText(JSON.stringify(become.reasons)) : null,
      ])
      if (taker !== undefined) return { ...become, handlers: [] }
      const existing = await query<{ key: number; handler: string; state: string }>(
        'SELECT key, handler, state FROM delivery WHERE key BETWEEN $1 AND $2 ORDER BY key FOR UPDATE',
        [firstDeliveryKey(key), lastDeliveryKey(key)],
      )
      const byHandler = new Map(existing.map((delivery) => [delivery.handler, delivery]))
      let nextKey = (existing.at(-1)?.key ?? firstDeliveryKey(key) - 1) + 1
      const replayed: string[] = []
      for (const handler of new Set(handlers)) {
        const delivery = byHandler.get(handler)
        if (only === 'dead' && delivery?.state !== 'dead') continue
        if (delivery === undefined) {
          if (nextKey > lastDeliveryKey(key)) throw new HoldfastError('invalid_request', 'too many handlers')
          await query(CREATE, [nextKey++, toText(handler), now])
        } else if (delivery.state === 'succeeded' || delivery.state === 'dead') {
          await query(RESTART, [delivery.key, now])
          await query("INSERT INTO tally VALUES ($1, -1), ('pending', 1)", [delivery.state])
        } else continue
        replayed.push(handler)
      }
      return { ...become, handlers: replayed }
    })
}

const CREATE = `
  WITH counted AS (INSERT INTO tally VALUES ('pending', 1))
  INSERT INTO delivery (key, handler, state, due_at, attempts, isolated) VALUES ($1, $2, 'pending', $3, 0, false)
`
const RESTART = `
  UPDATE delivery SET state = 'pending', due_at = $2, attempts = 0, isolated = false, last_error = NULL WHERE key = $1
`
