import { HoldfastError } from '../../domain/errors.ts'
import type { Replay } from '../../domain/store.ts'
import { firstDeliveryKey, lastDeliveryKey } from '../records/keys.ts'
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
 * As of `Store.replay`: makes an event's deliveries to these handlers pending, and gives those that were not. The event is
 * locked.
 */
export async function deliver(
  query: Query,
  clock: DatabaseClock,
  eventKey: number,
  handlers: readonly string[],
  only?: Replay['only'],
): Promise<readonly string[]> {
  const existing = await query<{ key: number; handler: string; state: string }>(
    'SELECT key, handler, state FROM delivery WHERE key BETWEEN $1 AND $2 ORDER BY key FOR UPDATE',
    [firstDeliveryKey(eventKey), lastDeliveryKey(eventKey)],
  )
  const byHandler = new Map(existing.map((delivery) => [delivery.handler, delivery]))
  let nextKey = (existing.at(-1)?.key ?? firstDeliveryKey(eventKey) - 1) + 1
  const delivered: string[] = []
  for (const handler of new Set(handlers)) {
    const delivery = byHandler.get(handler)
    if (only === 'dead' && delivery?.state !== 'dead') continue
    if (delivery === undefined) {
      if (nextKey > lastDeliveryKey(eventKey)) throw new HoldfastError('invalid_request', 'too many handlers')
      await query(CREATE, [nextKey++, escapeText(handler), clock.givenMs()])
    } else if (delivery.state === 'succeeded' || delivery.state === 'dead') {
      await query(RESTART, [delivery.key, clock.givenMs()])
      await query("INSERT INTO tally VALUES ($1, -1), ('pending', 1)", [delivery.state])
    } else continue
    delivered.push(handler)
  }
  return delivered
}
