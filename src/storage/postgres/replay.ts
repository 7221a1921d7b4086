import type { Replay, Replayed } from '../../domain/delivery-queue.ts'
import { orderKeyFor } from '../../domain/order-key.ts'
import {
  type DeliveryRow,
  firstDeliveryKey,
  lastDeliveryKey,
  planReplay,
  storedOrderKeys,
} from '../shared/deliveries.ts'
import { NOT_UNDERSTOOD, noSuchEvent, replayedAs, storedReasons } from '../shared/events.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Query } from './connections.ts'
import { escapeText, escapeTextOrNull, isUuid } from './escape-text.ts'

/**
 * Gives an event that a replay has brought into conflict its own row in `event_key`, if another event with the same body is in
 * conflict too and has the usual row.
 */
const NAME_CONFLICT = {
  name: 'name-conflict',
  text: `
    INSERT INTO event_key (source, id, variant, event)
    SELECT x.source, x.id, 'c'::bytea || x.checksum || int8send(x.key), x.key FROM event AS x
    WHERE x.key = $1 AND NOT EXISTS (
      SELECT FROM event_key AS k WHERE k.source = x.source AND k.id = x.id AND k.variant = x.checksum AND k.event = x.key
    ) ON CONFLICT DO NOTHING
  `,
}

export function createReplay(connections: Connections, clock: DatabaseClock) {
  return (replay: Replay): Promise<Replayed> =>
    connections.transaction(async (query) => {
      const { eventUid } = replay
      // The lock makes other replays of the event, and retention, wait.
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
      await query('UPDATE event SET status = $2, reasons = $3, order_keys = $4 WHERE key = $1', [
        key,
        become.status,
        escapeTextOrNull(storedReasons(become.reasons)),
        escapeTextOrNull(taker === undefined ? null : storedOrderKeys(replay.orderKeys)),
      ])
      if (taker !== undefined) {
        await query(NAME_CONFLICT, [key])
        return { ...become, handlers: [] }
      }
      return { ...become, handlers: await deliver(query, clock, key, replay) }
    })
}

const CREATE = `
  WITH counted AS (INSERT INTO tally VALUES ('pending', 1))
  INSERT INTO delivery (key, handler, state, due_at, attempts, isolated, order_key)
  VALUES ($1, $2, CASE WHEN $4::bigint IS NULL THEN 'pending' ELSE 'unplaced' END, clock_1($3), 0, false, $4)
`
const RESTART = `
  UPDATE delivery SET state = CASE WHEN $3::bigint IS NULL THEN 'pending' ELSE 'unplaced' END, due_at = clock_1($2), attempts = 0,
    isolated = false, last_error = NULL, cause = NULL, order_key = $3
  WHERE key = $1
`

/**
 * Makes the deliveries of an event to these handlers pending, as `DeliveryQueue.replay` says. Returns the handlers that will
 * run. The caller must have locked the event.
 */
export async function deliver(
  query: Query,
  clock: DatabaseClock,
  eventKey: number,
  { handlers, orderKeys, only }: Pick<Replay, 'handlers' | 'orderKeys' | 'only'>,
): Promise<readonly string[]> {
  const existing = await query<Pick<DeliveryRow, 'key' | 'handler' | 'state'>>(
    'SELECT key, handler, state FROM delivery WHERE key BETWEEN $1 AND $2 ORDER BY key FOR UPDATE',
    [firstDeliveryKey(eventKey), lastDeliveryKey(eventKey)],
  )
  const plan = planReplay(eventKey, existing, handlers, only)
  for (const delivery of plan) {
    const orderKey = orderKeyFor(orderKeys, delivery.handler)
    if (delivery.kind === 'create') {
      await query(CREATE, [delivery.key, escapeText(delivery.handler), clock.givenMs(), orderKey])
      if (orderKey !== null) await query('SELECT became_unplaced_1(ARRAY[$1::bigint])', [delivery.key])
    } else {
      await query(RESTART, [delivery.key, clock.givenMs(), orderKey])
      await query("INSERT INTO tally VALUES ($1, -1), ('pending', 1)", [delivery.from])
    }
  }
  return plan.map(({ handler }) => handler)
}
