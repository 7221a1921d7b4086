import type { DatabaseSync } from 'node:sqlite'
import { MAX_TOLERANCE_MS } from '../../domain/clock.ts'
import { DELIVERY_STATES } from '../../domain/delivery.ts'
import {
  MAX_DEAD_LOOKED_AT,
  MAX_OLD_LOOKED_AT,
  type OldBounds,
  type OldEvents,
  type PruneRequest,
  type PruneStep,
} from '../../domain/retention-store.ts'
import type { TaskStatus } from '../../domain/task.ts'
import { firstDeliveryKey, IS_OPEN, lastDeliveryKey } from '../shared/deliveries.ts'
import { FROM_OLDEST, MAX_OLD_READ, type OldRow, type PrunePlan, planPrune, youngMs } from '../shared/prune.ts'
import { firstQuestionKey, lastQuestionKey } from '../shared/questions.ts'
import type { StateCounts } from './counts.ts'
import type { Damage } from './damage.ts'
import { type IdentityIndex, namedOf } from './identity-index.ts'
import type { IndexWriter } from './payload-index.ts'

/** How many events one commit deletes: an append waits for no more than that. */
const MAX_FORGOTTEN = 64
/** How many questions about tasks one commit deletes, or a few more: 200 tasks may have 20,000. */
const MAX_FORGOTTEN_QUESTIONS = 2_000

export interface Forgotten {
  readonly events: number
  readonly dead: number
}

/** The key of the first young event. Events with a greater key only seem to have been received before the bound. */
const FIRST_YOUNG = `coalesce((
  SELECT young.key FROM event AS young WHERE young.received_at >= ?1 + ${MAX_TOLERANCE_MS} ORDER BY young.received_at, young.key LIMIT 1
), ${Number.MAX_SAFE_INTEGER})`

/** Finds old events that can be deleted, in one step of a walk that starts at the oldest. */
export function prepareFindOld(db: DatabaseSync) {
  const select = db.prepare(`
    SELECT key, received_at, EXISTS (
      SELECT 1 FROM delivery WHERE delivery.key BETWEEN event.key * 1024 AND event.key * 1024 + 1023
        AND (${IS_OPEN} OR (state = 'dead' AND event.received_at >= ?4))
    ) AS is_needed, key > ${FIRST_YOUNG} AS is_misdated
    FROM event WHERE received_at < ?1 AND received_at >= ?2 AND (received_at, key) > (?2, ?3)
    ORDER BY received_at, key LIMIT ${MAX_OLD_READ}
  `)

  return ({ receivedBeforeMs, deadReceivedBeforeMs, limit, from }: PruneRequest): PrunePlan => {
    const { receivedAtMs, key } = from ?? FROM_OLDEST
    const looked = select.all(receivedBeforeMs, receivedAtMs, key, deadReceivedBeforeMs) as OldRow[]
    return planPrune(looked, limit)
  }
}

export function prepareCountOld(db: DatabaseSync): (bounds: OldBounds) => OldEvents {
  const select = db.prepare(`
    WITH looked AS MATERIALIZED (
      SELECT key, received_at FROM event WHERE received_at < ?1 AND +key < ${FIRST_YOUNG} ORDER BY received_at, key LIMIT ${MAX_OLD_LOOKED_AT}
    ),
    counted AS (
      SELECT received_at, count(*) FILTER (WHERE state = 'dead') AS dead,
        max(${IS_OPEN} OR (state = 'dead' AND received_at >= ?2)) AS is_needed
      FROM looked LEFT JOIN delivery ON delivery.key BETWEEN looked.key * 1024 AND looked.key * 1024 + 1023
      GROUP BY looked.key
    )
    SELECT date(received_at / 1000, 'unixepoch') AS day, count(*) AS events, sum(dead) AS dead
    FROM counted WHERE is_needed IS NOT 1 GROUP BY day ORDER BY day
  `)
  const past = db.prepare(`
    SELECT 1 FROM event WHERE received_at < ?1 AND +key < ${FIRST_YOUNG} LIMIT 1 OFFSET ${MAX_OLD_LOOKED_AT}
  `)

  return ({ receivedBeforeMs, deadReceivedBeforeMs }) => ({
    days: select
      .all(receivedBeforeMs, deadReceivedBeforeMs)
      .map(({ day, events, dead }) => ({ day: String(day), events: Number(events), dead: Number(dead) })),
    more: past.get(receivedBeforeMs) !== undefined,
  })
}

/**
 * One step of a walk, in several commits. `forget` makes one commit, and checks again that its events can be deleted; `redate`
 * makes one commit, and returns how many events it has redated.
 */
export async function pruneInCommits(
  found: Promise<PrunePlan>,
  forget: (keys: readonly number[]) => Promise<Forgotten>,
  redate: (keys: readonly number[]) => Promise<number>,
): Promise<PruneStep> {
  const { old, misdated, next } = await found
  let [events, dead, redated] = [0, 0, 0]
  for (let from = 0; from < misdated.length; from += MAX_FORGOTTEN)
    redated += await redate(misdated.slice(from, from + MAX_FORGOTTEN))
  for (let from = 0; from < old.length; from += MAX_FORGOTTEN) {
    const forgotten = await forget(old.slice(from, from + MAX_FORGOTTEN))
    events += forgotten.events
    dead += forgotten.dead
  }
  return { events, dead, redated, next }
}

/** Gives each of these events, in the order in which they were stored, the time of the last young event before it. */
export function prepareRedate(db: DatabaseSync) {
  const update = db.prepare(`
    UPDATE event SET received_at = (
      SELECT received_at FROM event AS before WHERE before.key < ?1 AND before.received_at >= ?2 ORDER BY before.key DESC LIMIT 1
    )
    WHERE key = ?1 AND received_at < ?2 AND EXISTS (SELECT 1 FROM event AS before WHERE before.key < ?1 AND before.received_at >= ?2)
  `)
  return (keys: readonly number[], receivedBeforeMs: number): number =>
    keys
      .toSorted((a, b) => a - b)
      .reduce((sum, key) => sum + Number(update.run(key, youngMs(receivedBeforeMs)).changes), 0)
}

interface ForgetParts {
  readonly dedupe: IdentityIndex
  readonly counts: StateCounts
  readonly damage: Damage
  readonly index: Pick<IndexWriter, 'forget'>
}

/** Deletes these events, except for those that are still needed. Events on damaged pages stay. */
export function prepareForget(db: DatabaseSync, { dedupe, counts, damage, index }: ForgetParts) {
  const select = db.prepare('SELECT received_at, source, id, variant, checksum FROM event WHERE key = ?')
  const countStates = db.prepare('SELECT state, count(*) AS n FROM delivery WHERE key BETWEEN ? AND ? GROUP BY state')
  const keepOutcomes = db.prepare(`
    INSERT INTO replay_tally (replay, handler, state, n) SELECT replay, handler, state, count(*) FROM delivery
    WHERE key BETWEEN ? AND ? AND replay IN (SELECT key FROM replay) GROUP BY replay, handler, state
    ON CONFLICT DO UPDATE SET n = n + excluded.n
  `)
  const deleteMarks = db.prepare('DELETE FROM replay_mark WHERE delivery BETWEEN ? AND ?')
  const deleteAttempts = db.prepare('DELETE FROM attempt WHERE delivery BETWEEN ? AND ?')
  const deleteDeliveries = db.prepare('DELETE FROM delivery WHERE key BETWEEN ? AND ?')
  const deleteBody = db.prepare('DELETE FROM event_body WHERE key = ?')
  const deleteRepeats = db.prepare('DELETE FROM event_repeat WHERE key = ?')
  const deleteEvent = db.prepare('DELETE FROM event WHERE key = ?')

  /** Undefined: the event is still needed. */
  function forget(key: number, deadReceivedBeforeMs: number): { readonly dead: number } | undefined {
    const row = select.get(key)
    if (row === undefined) return undefined
    const deliveries = [firstDeliveryKey(key), lastDeliveryKey(key)] as const
    const byState = new Map(countStates.all(...deliveries).map(({ state, n }) => [state, Number(n)] as const))
    const dead = byState.get('dead') ?? 0
    if (['pending', 'running', 'blocked'].some((state) => byState.has(state))) return undefined
    if (dead > 0 && Number(row.received_at) >= deadReceivedBeforeMs) return undefined
    for (const state of DELIVERY_STATES) counts.add(state, -(byState.get(state) ?? 0))
    keepOutcomes.run(...deliveries)
    deleteMarks.run(...deliveries)
    deleteAttempts.run(...deliveries)
    deleteDeliveries.run(...deliveries)
    deleteBody.run(key)
    index.forget(key)
    damage.around(
      'the count of repeats of event',
      key,
      () => deleteRepeats.run(key),
      () => undefined,
    )
    deleteEvent.run(key)
    dedupe.remove(key, namedOf(row))
    return { dead }
  }

  return (keys: readonly number[], deadReceivedBeforeMs: number): Forgotten => {
    const gone = keys
      .map((key) =>
        damage.around(
          'the pruning of event',
          key,
          () => forget(key, deadReceivedBeforeMs),
          () => undefined,
        ),
      )
      .filter((each) => each !== undefined)
    return { events: gone.length, dead: gone.reduce((sum, { dead }) => sum + dead, 0) }
  }
}

export function prepareCountDead(db: DatabaseSync): (receivedBeforeMs: number) => number {
  const select = db.prepare(`
    SELECT count(*) AS n FROM (SELECT key FROM delivery WHERE state = 'dead' ORDER BY due_at LIMIT ${MAX_DEAD_LOOKED_AT}) AS dead
    CROSS JOIN event ON event.key = dead.key / 1024 WHERE event.received_at < ?1 AND event.key < ${FIRST_YOUNG}
  `)
  return (receivedBeforeMs) => Number(select.get(receivedBeforeMs)?.n ?? 0)
}

export function preparePruneTasks(db: DatabaseSync, counts: StateCounts, damage: Damage) {
  const isOld = `created_at < ?1 + ${MAX_TOLERANCE_MS}`
  const select = db.prepare(`SELECT key FROM task WHERE ended_at < ?1 AND ${isOld} ORDER BY ended_at LIMIT ?2`)
  const ended = db.prepare('SELECT key FROM task INDEXED BY task_ended WHERE ended_at < ? ORDER BY ended_at')
  const removeQuestions = db.prepare('DELETE FROM task_question WHERE key BETWEEN ? AND ?')
  const remove = db.prepare(`DELETE FROM task WHERE key = ?2 AND ${isOld} RETURNING status`)

  /** The number of its questions; undefined: the task stays. */
  function prune(key: number, endedBeforeMs: number): number | undefined {
    const gone = damage.around(
      'the pruning of task',
      key,
      () => {
        const removed = remove.get(endedBeforeMs, key)
        if (removed === undefined) return undefined
        const { changes } = removeQuestions.run(firstQuestionKey(key), lastQuestionKey(key))
        return { status: removed.status as TaskStatus, questions: Number(changes) }
      },
      () => undefined,
    )
    if (gone === undefined) return undefined
    counts.add(`task:${gone.status}`, -1)
    return gone.questions
  }

  return (endedBeforeMs: number, limit: number): number => {
    const old = damage.around(
      'the tasks that',
      'ended',
      () => select.all(endedBeforeMs, limit),
      () => ended.all(endedBeforeMs),
    )
    let [pruned, questions] = [0, 0]
    for (const { key } of old) {
      if (pruned >= limit || questions >= MAX_FORGOTTEN_QUESTIONS) break
      const forgotten = prune(Number(key), endedBeforeMs)
      if (forgotten === undefined) continue
      pruned++
      questions += forgotten
    }
    return pruned
  }
}

/** Deletes at most `limit` tasks. `prune` makes one commit, and deletes none only if it can delete none. */
export async function pruneTasksInCommits(limit: number, prune: (left: number) => Promise<number>): Promise<number> {
  let pruned = 0
  for (let some = 1; some > 0 && pruned < limit; pruned += some) some = await prune(limit - pruned)
  return pruned
}
