import type { TypeRoutes } from '../../domain/delivery.ts'
import type { EventStatus } from '../../domain/event.ts'
import type { EndedTask } from '../../domain/task.ts'
import type { RouteResult } from '../../pipeline/routes.ts'
import { routeByType } from '../../pipeline/type-routes.ts'
import { firstDeliveryKey, lastDeliveryKey, orderKeysIn, type Successor } from '../shared/deliveries.ts'
import { CONFLICTING, FIRST, NOT_UNDERSTOOD, storedReasons } from '../shared/events.ts'
import type { DatabaseClock } from './clock.ts'
import type { Query, Row } from './connections.ts'
import { giveUpTaskEnd, takeTaskEnd } from './end-task.ts'
import { escapeTextOrNull } from './escape-text.ts'
import { deliver } from './replay.ts'

/** How many events in conflict are tried: the first one takes the id, unless another event has its body. */
const MAX_CONTENDERS = 64

/** This statement comes first: an append that still saw the id taken looks again (`createResolveConflict`). */
const DISOWN = {
  name: 'disown',
  text: `
    WITH event AS (
      UPDATE event AS x SET variant = ${NOT_UNDERSTOOD}
      WHERE x.key = $1 AND x.status = 'quarantined' AND x.variant = ${FIRST} AND x.origin <> 'poll'
        AND NOT EXISTS (SELECT FROM delivery AS d WHERE d.key BETWEEN $2 AND $3 AND d.state NOT IN ('dead', 'discarded'))
      RETURNING x.key, x.uid, x.source, x.id, x.checksum, x.by_body
    ),
    given AS (
      DELETE FROM event_key AS k USING event AS e
      WHERE k.source = e.source AND k.id = e.id AND k.variant = '' AND k.event = e.key
    ),
    taken AS (
      INSERT INTO event_key (source, id, variant, event)
      SELECT e.source, e.id, 'q'::bytea || e.checksum, e.key FROM event AS e
      ON CONFLICT (source, id, variant) DO UPDATE SET event = excluded.event
    ),
    body AS (
      DELETE FROM body_key AS b USING event AS e
      WHERE b.source = e.source AND b.checksum = e.checksum AND b.is_understood AND b.event = e.key
    ),
    known AS (
      INSERT INTO body_key SELECT e.source, e.checksum, false, e.key FROM event AS e WHERE e.by_body = 1
      ON CONFLICT (source, checksum, is_understood) DO UPDATE SET event = excluded.event
    )
    SELECT e.uid, e.by_body IS NOT NULL AS by_body FROM event AS e
  `,
}
/** Locks the events as a replay does, which may run them at the same time. */
const IN_CONFLICT = {
  name: 'in-conflict',
  text: `
    SELECT x.key, x.uid, x.type, x.status, x.order_keys FROM event AS e
    JOIN event_key AS k ON k.source = e.source AND k.id = e.id AND k.variant <> ''
    JOIN event AS x ON x.key = k.event
    WHERE e.key = $1 AND x.variant = ${CONFLICTING} AND x.status <> 'quarantined'
    ORDER BY x.key LIMIT $2 FOR UPDATE OF x
  `,
}
const TAKE_BODY = {
  name: 'take-body',
  text: 'SELECT take_body_3(key, source, checksum, true) IS NULL AS is_free FROM event WHERE key = $1',
}
const FREE_BODY = { name: 'free-body', text: 'SELECT free_body_3(key, source, checksum) FROM event WHERE key = $1' }
const TAKE_ID = {
  name: 'take-id',
  text: `
    WITH taken AS (
      INSERT INTO event_key (source, id, variant, event) SELECT x.source, x.id, '', x.key FROM event AS x WHERE x.key = $1
      ON CONFLICT DO NOTHING RETURNING event_key.event
    ),
    freed AS (
      DELETE FROM event_key AS k USING event AS x, taken
      WHERE x.key = taken.event AND k.source = x.source AND k.id = x.id AND k.variant <> '' AND k.event = x.key
    )
    UPDATE event AS x SET variant = ${FIRST}, by_body = CASE WHEN $2 THEN 1 END FROM taken WHERE x.key = taken.event
    RETURNING x.key
  `,
}
const ROUTE = { name: 'route', text: 'UPDATE event SET status = $2, reasons = $3 WHERE key = $1' }

/** The locked row of an event that may take an id. */
export interface Contender extends Row {
  readonly key: number
  readonly uid: string
  readonly status: string
}

interface InConflict extends Contender {
  readonly type: string
  /** JSON. */
  readonly order_keys: string | null
}

/** The status of an event that took its id, and the task that it ended. */
interface Taken {
  readonly status: EventStatus
  readonly ended?: EndedTask
}

interface Take {
  readonly routing: RouteResult
  /** Whether the body of the event counts as its identity, too. */
  readonly byBody: boolean
  /** Key of the task that the quarantined event had ended. */
  readonly givenUp?: number | undefined
}

/**
 * Lets the event take its id if the id is free, and runs the event unless a replay has run it before. Undefined if the event
 * does not take the id.
 */
export async function takeId(
  query: Query,
  clock: DatabaseClock,
  event: Contender,
  { routing, byBody, givenUp }: Take,
): Promise<Taken | undefined> {
  const { key } = event
  if (byBody) {
    const [body] = await query<{ is_free: boolean }>(TAKE_BODY, [key])
    if (body?.is_free !== true) return undefined
  }
  const [taken] = await query(TAKE_ID, [key, byBody])
  if (taken === undefined) {
    if (byBody) await query(FREE_BODY, [key])
    return undefined
  }
  if (event.status !== 'conflict') return { status: routing.status }
  const ended = await takeTaskEnd(query, clock, event, givenUp)
  const { reasons, handlers, orderKeys } = routing
  const status = ended === 'superseded' ? ended : routing.status
  await query(ROUTE, [key, status, escapeTextOrNull(storedReasons(reasons))])
  if (status !== 'superseded')
    await deliver(query, clock, [{ eventKey: key, handlers, ...(orderKeys && { orderKeys }) }])
  return { status, ...(typeof ended === 'object' && { ended }) }
}

/** The same rule as `GiveUpId` of the SQLite store. Runs in the transaction in which the last delivery of the event ends. */
export function createGiveUpId(clock: DatabaseClock) {
  return async (query: Query, eventKey: number, routes: TypeRoutes | undefined): Promise<Successor | undefined> => {
    const keys = [eventKey, firstDeliveryKey(eventKey), lastDeliveryKey(eventKey)]
    const [quarantined] = await query<{ uid: string; by_body: boolean }>(DISOWN, keys)
    if (quarantined === undefined) return undefined
    const givenUp = await giveUpTaskEnd(query, eventKey)
    if (routes === undefined) return undefined
    const { uid, by_body: byBody } = quarantined
    for (const event of await query<InConflict>(IN_CONFLICT, [eventKey, byBody ? MAX_CONTENDERS : 1])) {
      const routing = { ...routeByType(routes, event.type), ...orderKeysIn(event.order_keys) }
      const taken = await takeId(query, clock, event, { routing, byBody, givenUp })
      if (taken !== undefined) return { uid: event.uid, of: uid, ...(taken.ended && { ended: taken.ended }) }
    }
    return undefined
  }
}
