import type { Replay, Replayed } from '../../domain/delivery-queue.ts'
import { orderKeyFor } from '../../domain/order-key.ts'
import {
  firstDeliveryKey,
  lastDeliveryKey,
  planReplay,
  REPLAYABLE_COLUMNS,
  type ReplayableRow,
  storedOrderKeys,
} from '../shared/deliveries.ts'
import { NOT_UNDERSTOOD, noSuchEvent, replayedAs, storedReasons } from '../shared/events.ts'
import type { JobReplay } from '../shared/replays.ts'
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

export const createReplay = (connections: Connections, clock: DatabaseClock) => (replay: Replay) =>
  connections.transaction((query) => replayIn(query, clock, replay))

const HOLD = {
  name: 'replay-hold',
  text: 'SELECT key, variant, status, reasons, order_keys FROM event WHERE uid = $1 FOR UPDATE',
}
const BECOME = {
  name: 'replay-become',
  text: 'UPDATE event SET status = $2, reasons = $3, order_keys = $4 WHERE key = $1',
}

interface HeldEvent extends Record<string, unknown> {
  readonly key: number
  readonly variant: number
  readonly status: string
  readonly reasons: string | null
  readonly order_keys: string | null
}

/** Replays an event within a transaction. */
export async function replayIn(query: Query, clock: DatabaseClock, replay: JobReplay): Promise<Replayed> {
  const { eventUid } = replay
  // The lock makes other replays of the event, and retention, wait.
  const [event] = isUuid(eventUid) ? await query<HeldEvent>(HOLD, [eventUid]) : []
  if (event === undefined) throw noSuchEvent(eventUid)
  const { key } = event
  const isUnderstood = event.variant === NOT_UNDERSTOOD && replay.status !== 'quarantined'
  const [taken] = isUnderstood ? await query<{ by: string | null }>('SELECT understand_3($1) AS by', [key]) : []
  const taker = taken?.by ?? undefined
  const become = replayedAs(replay, taker)
  const reasons = storedReasons(become.reasons)
  const orderKeys = taker === undefined ? null : storedOrderKeys(replay.orderKeys)
  if (event.status !== become.status || event.reasons !== reasons || event.order_keys !== orderKeys)
    await query(BECOME, [key, become.status, escapeTextOrNull(reasons), escapeTextOrNull(orderKeys)])
  if (taker !== undefined) {
    await query(NAME_CONFLICT, [key])
    return { ...become, handlers: [] }
  }
  return { ...become, handlers: await deliver(query, clock, key, replay) }
}

const CREATE = {
  name: 'replay-create',
  text: `
    WITH counted AS (INSERT INTO tally VALUES ('pending', 1)),
    marked AS (
      INSERT INTO replay_mark (delivery, ordinal, replay) SELECT $1, next_ordinal_1($1), $6::uuid WHERE $6::uuid IS NOT NULL
      ON CONFLICT (delivery, ordinal) DO UPDATE SET replay = excluded.replay
    )
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated, order_key, replay)
    VALUES ($1, $2, CASE WHEN $4::bigint IS NULL THEN 'pending' ELSE 'unplaced' END, clock_1($3), 0, false, $4, $5)
  `,
}
/** `$5`: the state that it had. */
const RESTART = {
  name: 'replay-restart',
  text: `
    WITH counted AS (INSERT INTO tally VALUES ($5, -1), ('pending', 1)),
    marked AS (
      INSERT INTO replay_mark (delivery, ordinal, replay) VALUES ($1, next_ordinal_1($1), $6)
      ON CONFLICT (delivery, ordinal) DO UPDATE SET replay = excluded.replay
    )
    UPDATE delivery SET state = CASE WHEN $3::bigint IS NULL THEN 'pending' ELSE 'unplaced' END, due_at = clock_1($2), attempts = 0,
      isolated = false, last_error = NULL, cause = NULL, order_key = $3, replay = $4
    WHERE key = $1
  `,
}
const KEEP_OUTCOME = {
  name: 'replay-keep-outcome',
  text: `
    INSERT INTO replay_tally AS t (replay, handler, state, n) SELECT replay, handler, state, 1 FROM delivery
    WHERE key = $1 AND replay IN (SELECT key FROM replay) ON CONFLICT (replay, handler, state) DO UPDATE SET n = t.n + 1
  `,
}
const EXISTING = {
  name: 'replay-existing',
  text: `SELECT ${REPLAYABLE_COLUMNS} FROM delivery WHERE key BETWEEN $1 AND $2 ORDER BY key FOR UPDATE`,
}

/**
 * Makes the deliveries of an event to these handlers pending, as `DeliveryQueue.replay` says. Returns the handlers that will
 * run. The caller must have locked the event.
 */
export async function deliver(
  query: Query,
  clock: DatabaseClock,
  eventKey: number,
  { orderKeys, id, job, ...to }: Omit<JobReplay, 'eventUid' | 'status' | 'reasons'>,
): Promise<readonly string[]> {
  const existing = await query<ReplayableRow>(EXISTING, [firstDeliveryKey(eventKey), lastDeliveryKey(eventKey)])
  const plan = planReplay(eventKey, existing, to)
  for (const delivery of plan) {
    const { key } = delivery
    const orderKey = orderKeyFor(orderKeys, delivery.handler)
    const of = [orderKey, job ?? null]
    if (delivery.kind === 'create') {
      await query(CREATE, [key, escapeText(delivery.handler), clock.givenMs(), ...of, id ?? null])
      if (orderKey !== null) await query('SELECT became_unplaced_1(ARRAY[$1::bigint])', [key])
    } else {
      if (existing.some((known) => known.key === key && known.replay !== null)) await query(KEEP_OUTCOME, [key])
      await query(RESTART, [key, clock.givenMs(), ...of, delivery.from, id ?? null])
    }
  }
  return plan.map(({ handler }) => handler)
}
