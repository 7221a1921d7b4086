import type { Replay, Replayed } from '../../domain/delivery-queue.ts'
import { orderKeyFor } from '../../domain/order-key.ts'
import { eventKeyOf, planReplay, type ReplayableRow, replayableColumns, storedOrderKeys } from '../shared/deliveries.ts'
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
  connections.transaction(async (query) => {
    const [replayed] = await replayIn(query, clock, [replay])
    if (replayed === undefined) throw noSuchEvent(replay.eventUid)
    return replayed
  })

/** Makes other replays of the events, and retention, wait. Locks events first, then deliveries, each in order of key, as settlements do. */
const HOLD = {
  name: 'replay-hold',
  text: 'SELECT key, uid, variant, status, reasons, order_keys FROM event WHERE uid = ANY ($1::uuid[]) ORDER BY key FOR UPDATE',
}
const BECOME = {
  name: 'replay-become',
  text: `
    UPDATE event SET status = x.status, reasons = x.reasons, order_keys = x.order_keys
    FROM json_to_recordset($1) AS x (key bigint, status text, reasons text, order_keys text) WHERE event.key = x.key
  `,
}

interface HeldEvent extends Record<string, unknown> {
  readonly key: number
  readonly uid: string
  readonly variant: number
  readonly status: string
  readonly reasons: string | null
  readonly order_keys: string | null
}

/** Replays events within a transaction. Undefined for each event that does not exist. */
export async function replayIn(
  query: Query,
  clock: DatabaseClock,
  replays: readonly JobReplay[],
): Promise<readonly (Replayed | undefined)[]> {
  const uids = replays.map(({ eventUid }) => eventUid).filter(isUuid)
  const held = new Map((await query<HeldEvent>(HOLD, [uids])).map((event) => [event.uid, event]))
  const changed: { key: number; status: string; reasons: string | null; order_keys: string | null }[] = []
  const taken: number[] = []
  const delivered: Delivered[] = []
  const became: ((Omit<Replayed, 'handlers'> & { readonly key: number }) | undefined)[] = []
  for (const replay of replays) {
    const event = held.get(replay.eventUid.toLowerCase())
    if (event === undefined) {
      became.push(undefined)
      continue
    }
    const { key } = event
    const taker = await takerOf(query, event, replay.status)
    const become = replayedAs(replay, taker)
    const reasons = storedReasons(become.reasons)
    const orderKeys = taker === undefined ? null : storedOrderKeys(replay.orderKeys)
    if (event.status !== become.status || event.reasons !== reasons || event.order_keys !== orderKeys)
      changed.push({
        key,
        status: become.status,
        reasons: escapeTextOrNull(reasons),
        order_keys: escapeTextOrNull(orderKeys),
      })
    if (taker === undefined) delivered.push({ ...replay, eventKey: key })
    else taken.push(key)
    became.push({ ...become, key })
  }
  if (changed.length > 0) await query(BECOME, [JSON.stringify(changed)])
  for (const key of taken) await query(NAME_CONFLICT, [key])
  const handlers = await deliver(query, clock, delivered)
  return became.map((each) => {
    if (each === undefined) return undefined
    const { key, ...become } = each
    return { ...become, handlers: handlers.get(key) ?? [] }
  })
}

/** The uid of the event that has the id or the body of the replayed event, which therefore cannot take its id. */
async function takerOf(
  query: Query,
  { key, variant }: HeldEvent,
  status: Replay['status'],
): Promise<string | undefined> {
  if (variant !== NOT_UNDERSTOOD || status === 'quarantined') return undefined
  const [taken] = await query<{ by: string | null }>('SELECT understand_3($1) AS by', [key])
  return taken?.by ?? undefined
}

const GIVEN = `
  given AS MATERIALIZED (
    SELECT * FROM json_to_recordset($2) AS x (
      key bigint, handler text, order_key bigint, job bigint, id uuid, "from" text
    )
  ),
  marked AS (
    INSERT INTO replay_mark (delivery, ordinal, replay) SELECT key, next_ordinal_1(key), id FROM given
    WHERE "from" IS NOT NULL OR id IS NOT NULL ON CONFLICT (delivery, ordinal) DO UPDATE SET replay = excluded.replay
  )
`
const STATE = "CASE WHEN given.order_key IS NULL THEN 'pending' ELSE 'unplaced' END"
const CREATE = {
  name: 'replay-create',
  text: `
    WITH ${GIVEN},
    counted AS (INSERT INTO tally SELECT 'pending', count(*) FROM given)
    INSERT INTO delivery (key, handler, state, due_at, attempts, isolated, order_key, replay)
    SELECT key, handler, ${STATE}, clock_1($1), 0, false, order_key, job FROM given
  `,
}
/** `from`: the state that it had. */
const RESTART = {
  name: 'replay-restart',
  text: `
    WITH ${GIVEN},
    counted AS (
      INSERT INTO tally SELECT "from", -count(*) FROM given GROUP BY "from" UNION ALL SELECT 'pending', count(*) FROM given
    )
    UPDATE delivery SET state = ${STATE}, due_at = clock_1($1), attempts = 0, isolated = false, last_error = NULL, cause = NULL,
      order_key = given.order_key, replay = given.job
    FROM given WHERE delivery.key = given.key
  `,
}
const HASTEN = {
  name: 'replay-hasten',
  text: `
    WITH ${GIVEN}
    UPDATE delivery SET due_at = clock_1($1), attempts = 0, replay = coalesce(given.job, delivery.replay)
    FROM given WHERE delivery.key = given.key
  `,
}
/** Locks the rows in one order: other transactions count other deliveries of the same jobs. */
const KEEP_OUTCOMES = {
  name: 'replay-keep-outcomes',
  text: `
    INSERT INTO replay_tally AS t (replay, handler, state, n)
    SELECT replay, handler, state, count(*) FROM delivery WHERE key = ANY ($1::bigint[]) AND replay IN (SELECT key FROM replay)
    GROUP BY replay, handler, state ORDER BY replay, handler, state
    ON CONFLICT (replay, handler, state) DO UPDATE SET n = t.n + excluded.n
  `,
}
const EXISTING = {
  name: 'replay-existing',
  text: `
    SELECT ${replayableColumns('clock_1($2)')} FROM unnest($1::bigint[]) AS e (event)
    JOIN delivery ON delivery.key BETWEEN e.event * 1024 AND e.event * 1024 + 1023 ORDER BY key FOR UPDATE OF delivery
  `,
}

interface Delivered extends Omit<JobReplay, 'eventUid' | 'status' | 'reasons'> {
  readonly eventKey: number
}

/**
 * Makes the deliveries of events to these handlers pending, as `DeliveryQueue.replay` says. Returns by the key of the event the
 * handlers that will run.
 */
export async function deliver(
  query: Query,
  clock: DatabaseClock,
  events: readonly Delivered[],
): Promise<ReadonlyMap<number, readonly string[]>> {
  if (events.length === 0) return new Map()
  const existing = await query<ReplayableRow>(EXISTING, [events.map(({ eventKey }) => eventKey), clock.givenMs()])
  const byEvent = Map.groupBy(existing, ({ key }) => eventKeyOf(key))
  const planned = events.map((event) => ({
    event,
    plan: planReplay(event.eventKey, byEvent.get(event.eventKey) ?? [], event),
  }))
  const rows = planned.flatMap(({ event: { orderKeys, id = null, job = null }, plan }) =>
    plan.map((delivery) => ({
      key: delivery.key,
      handler: escapeText(delivery.handler),
      order_key: orderKeyFor(orderKeys, delivery.handler),
      job,
      id,
      kind: delivery.kind,
      from: delivery.kind === 'restart' ? delivery.from : delivery.kind === 'hasten' ? 'pending' : null,
    })),
  )
  const {
    create: created = [],
    restart: restarted = [],
    hasten: hastened = [],
  } = Object.groupBy(rows, ({ kind }) => kind)
  const ofJobs = new Set(existing.filter(({ replay }) => replay !== null).map(({ key }) => key))
  const counted = restarted.map(({ key }) => key).filter((key) => ofJobs.has(key))
  if (counted.length > 0) await query(KEEP_OUTCOMES, [counted])
  if (restarted.length > 0) await query(RESTART, [clock.givenMs(), JSON.stringify(restarted)])
  if (hastened.length > 0) await query(HASTEN, [clock.givenMs(), JSON.stringify(hastened)])
  if (created.length > 0) await query(CREATE, [clock.givenMs(), JSON.stringify(created)])
  const unplaced = created.filter((row) => row.order_key !== null).map(({ key }) => key)
  if (unplaced.length > 0) await query('SELECT became_unplaced_1($1::bigint[])', [unplaced])
  return new Map(planned.map(({ event, plan }) => [event.eventKey, plan.map(({ handler }) => handler)]))
}
