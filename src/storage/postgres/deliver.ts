import type { Replay } from '../../domain/delivery-queue.ts'
import { type DeliveryRow, firstDeliveryKey, lastDeliveryKey, planReplay } from '../records/deliveries.ts'
import type { DatabaseClock } from './clock.ts'
import type { Query } from './connections.ts'
import { escapeText } from './escape-text.ts'

const CREATE = `
  WITH counted AS (INSERT INTO tally VALUES ('pending', 1))
  INSERT INTO delivery (key, handler, state, due_at, attempts, isolated)
  VALUES ($1, $2, 'pending', clock_1($3), 0, false)
`
const RESTART = `
  UPDATE delivery SET state = 'pending', due_at = clock_1($2), attempts = 0, isolated = false, last_error = NULL
  WHERE key = $1
`

/**
 * Makes an event's deliveries to these handlers pending, as `DeliveryQueue.replay` says. Returns the handlers that will run. The caller
 * has locked the event.
 */
export async function deliver(
  query: Query,
  clock: DatabaseClock,
  eventKey: number,
  handlers: readonly string[],
  only?: Replay['only'],
): Promise<readonly string[]> {
  const existing = await query<Pick<DeliveryRow, 'key' | 'handler' | 'state'>>(
    'SELECT key, handler, state FROM delivery WHERE key BETWEEN $1 AND $2 ORDER BY key FOR UPDATE',
    [firstDeliveryKey(eventKey), lastDeliveryKey(eventKey)],
  )
  const plan = planReplay(eventKey, existing, handlers, only)
  for (const delivery of plan) {
    if (delivery.kind === 'create') await query(CREATE, [delivery.key, escapeText(delivery.handler), clock.givenMs()])
    else {
      await query(RESTART, [delivery.key, clock.givenMs()])
      await query("INSERT INTO tally VALUES ($1, -1), ('pending', 1)", [delivery.from])
    }
  }
  return plan.map(({ handler }) => handler)
}
