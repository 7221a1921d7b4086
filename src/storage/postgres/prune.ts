import type { Connections } from './connections.ts'
import type { Days } from './days.ts'

/** Events looked at in one transaction, and forgotten in it. */
const MAX_LOOKED_AT = 1_024
const MAX_PRUNED = 200

const IS_NEEDED = `EXISTS (
  SELECT 1 FROM delivery
  WHERE delivery.key BETWEEN event.key * 1024 AND event.key * 1024 + 1023 AND state IN ('pending', 'running')
)`

const LOOK = {
  name: 'prune-look',
  text: `
    SELECT key, received_at, ${IS_NEEDED} AS is_needed FROM event
    WHERE received_at < $1 AND (received_at, key) > ($2, $3) ORDER BY received_at, key LIMIT ${MAX_LOOKED_AT}
  `,
}
/** One that is being replayed is passed over; one that is locked here is not replayed. */
const LOCK = { name: 'prune-lock', text: 'SELECT key FROM event WHERE key = ANY ($1) FOR UPDATE SKIP LOCKED' }
/**
 * Bodies stay until their day is dropped; nothing leads to them any more. Looks again, now that they are locked, whether
 * they are needed.
 */
const FORGET = {
  name: 'prune-forget',
  text: `
    WITH gone AS (
      DELETE FROM event WHERE key = ANY ($1) AND NOT ${IS_NEEDED} RETURNING event.key, event.source, event.id, event.checksum
    ),
    keys AS (
      DELETE FROM event_key USING gone
      WHERE event_key.source = gone.source AND event_key.id = gone.id AND event_key.event = gone.key
    ),
    bodies AS (
      DELETE FROM body_key USING gone
      WHERE body_key.source = gone.source AND body_key.checksum = gone.checksum AND body_key.event = gone.key
    ),
    deliveries AS (
      DELETE FROM delivery USING gone
      WHERE delivery.key BETWEEN gone.key * 1024 AND gone.key * 1024 + 1023 RETURNING delivery.state
    ),
    attempts AS (
      DELETE FROM attempt USING gone WHERE attempt.delivery BETWEEN gone.key * 1024 AND gone.key * 1024 + 1023
    ),
    details AS (
      DELETE FROM attempt_detail USING gone WHERE attempt_detail.delivery BETWEEN gone.key * 1024 AND gone.key * 1024 + 1023
    ),
    counted AS (INSERT INTO tally SELECT state, -count(*) FROM deliveries GROUP BY state)
    SELECT count(*)::integer AS pruned FROM gone
  `,
}

interface Position {
  readonly received_at: number
  readonly key: number
}

/** Forgets old events, one step of a walk from the oldest on after the other, and drops the days that are empty then. */
export function createPrune(connections: Connections, days: Days) {
  async function step(beforeMs: number, most: number, from: Position) {
    return connections.transaction(async (query) => {
      const looked = await query<{ key: number; received_at: number; is_needed: boolean }>(LOOK, [
        beforeMs,
        from.received_at,
        from.key,
      ])
      const old = looked.filter(({ is_needed }) => !is_needed).slice(0, most)
      const keys = old.map(({ key }) => key)
      const locked = keys.length === 0 ? [] : await query<{ key: number }>(LOCK, [keys])
      const [row] = locked.length === 0 ? [] : await query<{ pruned: number }>(FORGET, [locked.map(({ key }) => key)])
      const isFull = old.length === most
      const next = isFull ? old.at(-1) : looked.length < MAX_LOOKED_AT ? undefined : looked.at(-1)
      return { pruned: row?.pruned ?? 0, next }
    })
  }

  return async (receivedBeforeMs: number, limit: number): Promise<number> => {
    let pruned = 0
    let next: Position | undefined = { received_at: Number.MIN_SAFE_INTEGER, key: 0 }
    while (next !== undefined && pruned < limit) {
      const done: { pruned: number; next: Position | undefined } = await step(
        receivedBeforeMs,
        Math.min(MAX_PRUNED, limit - pruned),
        next,
      )
      pruned += done.pruned
      next = done.next
    }
    if (next === undefined) await days.dropBefore(receivedBeforeMs)
    return pruned
  }
}
