import { MAX_TOLERANCE_MS } from '../../domain/clock.ts'
import {
  MAX_DEAD_LOOKED_AT,
  MAX_OLD_LOOKED_AT,
  type OldBounds,
  type OldEvents,
  type PruneRequest,
  type PruneStep,
} from '../../domain/retention-store.ts'
import { IS_OPEN } from '../shared/deliveries.ts'
import { FROM_OLDEST, MAX_OLD_READ, type OldRow, planPrune, youngMs } from '../shared/prune.ts'
import type { BodyPartitions } from './body-partitions.ts'
import type { Connections } from './connections.ts'
import { unlessDamaged } from './errors.ts'

/** How many events one transaction deletes. */
const MAX_PRUNED = 200

/** `$1`: an event with a dead delivery may go if it was received before this time. */
const IS_NEEDED = `EXISTS (
  SELECT 1 FROM delivery WHERE delivery.key BETWEEN event.key * 1024 AND event.key * 1024 + 1023
    AND (${IS_OPEN} OR (state = 'dead' AND event.received_at >= $1))
)`

/**
 * The key of the first young event, by the bound `$n`: events that were stored after it only seem to be older than the bound.
 */
const firstYoung = (time: '$1' | '$2'): string => `coalesce((
  SELECT young.key FROM event AS young WHERE young.received_at >= ${time}::bigint + ${MAX_TOLERANCE_MS} ORDER BY young.received_at, young.key LIMIT 1
), ${Number.MAX_SAFE_INTEGER})`

const LOOK = {
  name: 'prune-look',
  text: `
    SELECT key, received_at, ${IS_NEEDED} AS is_needed, key > ${firstYoung('$2')} AS is_misdated FROM event
    WHERE received_at < $2 AND (received_at, key) > ($3, $4) ORDER BY received_at, key LIMIT ${MAX_OLD_READ}
  `,
}
/** Passes over an event that a replay has locked; a replay waits for an event that is locked here. */
const LOCK = { name: 'prune-lock', text: 'SELECT key FROM event WHERE key = ANY ($1) FOR UPDATE SKIP LOCKED' }
/** Of those of these events that are deleted. */
const FORGET_REPEATS = { name: 'prune-repeats', text: 'SELECT forget_repeats_1($1)' }
/** An event may be counted as sent again while it is deleted, and replicas of the release before know no counts. */
const SWEEP_REPEATS = {
  name: 'prune-sweep-repeats',
  text: `DELETE FROM event_repeat WHERE key < coalesce((SELECT min(key) FROM event), ${Number.MAX_SAFE_INTEGER})`,
}
/**
 * Checks again, now that the events are locked, whether they are needed. Their bodies stay, unreachable, until their day's
 * partition is dropped. The rows of tallies are locked in the order of `KEEP_OUTCOMES`, which counts other deliveries of the same jobs.
 */
const FORGET = {
  name: 'prune-forget',
  text: `
    WITH gone AS (
      DELETE FROM event WHERE key = ANY ($2) AND NOT ${IS_NEEDED} RETURNING event.key, event.source, event.id, event.checksum
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
      WHERE delivery.key BETWEEN gone.key * 1024 AND gone.key * 1024 + 1023 RETURNING delivery.state, delivery.handler, delivery.replay
    ),
    outcomes AS (
      INSERT INTO replay_tally AS t (replay, handler, state, n) SELECT replay, handler, state, count(*) FROM deliveries
      WHERE replay IN (SELECT key FROM replay) GROUP BY replay, handler, state ORDER BY replay, handler, state
      ON CONFLICT (replay, handler, state) DO UPDATE SET n = t.n + excluded.n
    ),
    marks AS (
      DELETE FROM replay_mark USING gone WHERE replay_mark.delivery BETWEEN gone.key * 1024 AND gone.key * 1024 + 1023
    ),
    attempts AS (
      DELETE FROM attempt USING gone WHERE attempt.delivery BETWEEN gone.key * 1024 AND gone.key * 1024 + 1023
    ),
    details AS (
      DELETE FROM attempt_detail USING gone WHERE attempt_detail.delivery BETWEEN gone.key * 1024 AND gone.key * 1024 + 1023
    ),
    indexed AS (DELETE FROM payload_value USING gone WHERE payload_value.event = gone.key),
    counted AS (INSERT INTO tally SELECT state, -count(*) FROM deliveries GROUP BY state)
    SELECT count(*)::integer AS events, (SELECT count(*)::integer FROM deliveries WHERE state = 'dead') AS dead FROM gone
  `,
}
/** A body moves to the partition of its new day. That partition exists, because the body of the event before is in it. */
const REDATE = {
  name: 'prune-redate',
  text: `
    WITH misdated AS MATERIALIZED (
      SELECT event.key, event.received_at, before.received_at AS right_at FROM event CROSS JOIN LATERAL (
        SELECT b.received_at FROM event AS b WHERE b.key < event.key AND b.received_at >= $2 ORDER BY b.key DESC LIMIT 1
      ) AS before
      WHERE event.key = ANY ($1) AND event.received_at < $2 FOR UPDATE OF event SKIP LOCKED
    ),
    bodies AS (
      UPDATE event_body AS b SET day = day_1(misdated.right_at) FROM misdated
      WHERE b.day = day_1(misdated.received_at) AND b.key = misdated.key AND b.day <> day_1(misdated.right_at)
    )
    UPDATE event SET received_at = misdated.right_at FROM misdated WHERE event.key = misdated.key RETURNING event.key
  `,
}
const COUNT_OLD = {
  name: 'count-old',
  text: `
    WITH looked AS MATERIALIZED (
      SELECT key, received_at FROM event WHERE received_at < $2 AND key < ${firstYoung('$2')}
      ORDER BY received_at, key LIMIT ${MAX_OLD_LOOKED_AT} + 1
    ),
    counted AS (
      SELECT received_at, (
        SELECT count(*) FROM delivery WHERE delivery.key BETWEEN event.key * 1024 AND event.key * 1024 + 1023 AND state = 'dead'
      ) AS dead
      FROM (SELECT * FROM looked ORDER BY received_at, key LIMIT ${MAX_OLD_LOOKED_AT}) AS event WHERE NOT ${IS_NEEDED}
    ),
    days AS (
      SELECT day_1(received_at)::text AS day, count(*) AS events, sum(dead) AS dead FROM counted GROUP BY 1 ORDER BY 1
    )
    SELECT (SELECT coalesce(json_agg(days), '[]') FROM days) AS days, (SELECT count(*) FROM looked) > ${MAX_OLD_LOOKED_AT} AS more
  `,
}
const COUNT_DEAD = {
  name: 'count-dead',
  text: `
    SELECT count(*)::integer AS n
    FROM (SELECT key FROM delivery WHERE state = 'dead' ORDER BY due_at, key LIMIT ${MAX_DEAD_LOOKED_AT}) AS dead
    JOIN event ON event.key = dead.key / 1024 WHERE event.received_at < $1 AND event.key < ${firstYoung('$1')}
  `,
}
const PRUNE_TASKS = {
  name: 'prune-tasks',
  text: `
    WITH old AS (
      SELECT key FROM task WHERE ended_at < $1 AND created_at < $1::bigint + ${MAX_TOLERANCE_MS} ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ),
    gone AS (DELETE FROM task USING old WHERE task.key = old.key RETURNING task.status),
    counted AS (INSERT INTO tally SELECT 'task:' || status, -count(*) FROM gone GROUP BY status)
    SELECT count(*)::integer AS pruned FROM gone
  `,
}

const NOTHING = { events: 0, dead: 0 }

/** Deletes old events, step by step from the oldest on, and drops the partitions of days that are then empty. */
export function createPrune(connections: Connections, partitions: BodyPartitions) {
  async function step({ receivedBeforeMs, deadReceivedBeforeMs, limit, from }: PruneRequest): Promise<PruneStep> {
    const { receivedAtMs, key } = from ?? FROM_OLDEST
    const position = [deadReceivedBeforeMs, receivedBeforeMs, receivedAtMs, key]
    const looked = await connections.run<OldRow>('work', LOOK, position)
    const { old, misdated, next } = planPrune(looked, Math.min(MAX_PRUNED, limit))
    const redated = await redate(misdated, receivedBeforeMs)
    const gone = await forget(old, deadReceivedBeforeMs)
    return { ...gone, redated, next }
  }

  async function redate(keys: readonly number[], receivedBeforeMs: number): Promise<number> {
    let redated = 0
    for (let from = 0; from < keys.length; from += MAX_PRUNED) {
      const some = [keys.slice(from, from + MAX_PRUNED), youngMs(receivedBeforeMs)]
      redated += (await connections.run('work', REDATE, some)).length
    }
    return redated
  }

  async function forget(
    keys: readonly number[],
    deadReceivedBeforeMs: number,
  ): Promise<{ events: number; dead: number }> {
    if (keys.length === 0) return NOTHING
    return connections.transaction(async (query) => {
      const locked = (await query<{ key: number }>(LOCK, [keys])).map(({ key }) => key)
      if (locked.length === 0) return NOTHING
      const [gone = NOTHING] = await query<{ events: number; dead: number }>(FORGET, [deadReceivedBeforeMs, locked])
      await query(FORGET_REPEATS, [locked])
      return gone
    })
  }

  return async (request: PruneRequest): Promise<PruneStep> => {
    const done = await step(request)
    if (done.next === undefined) {
      await unlessDamaged(connections.run('work', SWEEP_REPEATS), [])
      await partitions.dropBefore(request.receivedBeforeMs)
    }
    return done
  }
}

export const createCountOld =
  (connections: Connections) =>
  async ({ receivedBeforeMs, deadReceivedBeforeMs }: OldBounds): Promise<OldEvents> => {
    const bounds = [deadReceivedBeforeMs, receivedBeforeMs]
    const [old] = await connections.run<OldEvents & Record<string, unknown>>('read', COUNT_OLD, bounds)
    return { days: old?.days ?? [], more: old?.more ?? false }
  }

export const createCountDead =
  (connections: Connections) =>
  async (receivedBeforeMs: number): Promise<number> =>
    (await connections.run<{ n: number }>('read', COUNT_DEAD, [receivedBeforeMs]))[0]?.n ?? 0

export const createPruneTasks =
  (connections: Connections) =>
  async (endedBeforeMs: number, limit: number): Promise<number> => {
    const [row] = await connections.run<{ pruned: number }>('work', PRUNE_TASKS, [endedBeforeMs, Math.max(0, limit)])
    return row?.pruned ?? 0
  }
