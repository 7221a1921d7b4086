import { randomUUID } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { deadlineTime, MAX_TOLERANCE_MS } from '../../domain/clock.ts'
import type { LeasedTask, Task, TaskStatus } from '../../domain/task.ts'
import type { TaskClaim, TaskPostponement } from '../../domain/task-store.ts'
import type { WithEndedTask } from '../records/ended-tasks.ts'
import { expiryOf, leasedTaskOf, type TaskRow, taskOf } from '../records/tasks.ts'
import { prepareReadClock } from './clock.ts'
import type { Damage } from './damage.ts'
import { prepareDueTasks } from './due-tasks.ts'
import type { EndTask } from './end-task.ts'
import type { Tally } from './tally.ts'

/** One that its owner had asked for before it is stale is left alone until it is. */
const NOT_BEFORE_STALE = "CASE status WHEN 'pending' THEN max(?3, stale_at) ELSE ?3 END"

/** Later than any time. */
const NEVER = Number.MAX_SAFE_INTEGER

/**
 * Who may ask for a task. A leased task is due when its lease runs out, so that a lease that is lost needs nobody to take
 * it back.
 */
export function prepareClaimTasks(db: DatabaseSync, endTask: EndTask, damage: Damage) {
  const dueTasks = prepareDueTasks(db, damage)
  const byUid = db.prepare('SELECT * FROM task WHERE uid = ?')
  const take = db.prepare('UPDATE task SET lease = ?, due_at = ? WHERE key = ?')
  const letGo = db.prepare(`
    UPDATE task SET lease = NULL, due_at = min(${NOT_BEFORE_STALE}, CASE WHEN expires_at > ?7 AND expires_at <= ?8 THEN ${NEVER} ELSE expires_at END),
      polls = polls + (?4 AND status = 'pending'),
      failures = CASE WHEN ?5 IS NOT NULL THEN 0 ELSE failures + ?4 END,
      word = coalesce(?5, word),
      last_error = CASE WHEN ?4 THEN ?6 ELSE last_error END
    WHERE uid = ?1 AND lease = ?2 AND ended_at IS NULL
  `)

  const readClock = prepareReadClock(db)
  const deadline = (nowMs: number): number => deadlineTime(readClock(), nowMs)

  function lease(row: TaskRow, leaseMs: number, nowMs: number): LeasedTask {
    const token = randomUUID()
    take.run(token, nowMs + leaseMs, row.key)
    const claimed = { ...row, expires_at: expiryOf(row, deadline(nowMs), nowMs) }
    return leasedTaskOf(claimed, token, row.lease !== null)
  }

  /** Undefined: it does not fit where it lies, and beside that is a damaged page. */
  const leaseReadable = (row: TaskRow, leaseMs: number, nowMs: number): LeasedTask | undefined =>
    damage.around(
      'the leasing of task',
      row.key,
      () => lease(row, leaseMs, nowMs),
      () => undefined,
    )

  return {
    claimTasks(claim: TaskClaim, nowMs: number): readonly LeasedTask[] {
      const deadlineMs = deadline(nowMs)
      const rows = [...dueTasks.expired(claim, nowMs, deadlineMs), ...dueTasks.due(claim, nowMs, deadlineMs)]
      return rows.map((row) => leaseReadable(row as TaskRow, claim.leaseMs, nowMs)).filter((task) => task !== undefined)
    },

    claimTask(uid: string, leaseMs: number, nowMs: number): LeasedTask | undefined {
      const row = byUid.get(uid) as TaskRow | undefined
      if (row === undefined || row.ended_at !== null) return undefined
      if (row.lease !== null && row.due_at > nowMs) return undefined
      return lease(row, leaseMs, nowMs)
    },

    postpone(postponements: readonly TaskPostponement[], nowMs: number): readonly boolean[] {
      const deadlineMs = deadline(nowMs)
      return postponements.map(({ uid, lease: token, dueAtMs, asked }) => {
        const { providerStatus: word = null, error = null } = asked ?? {}
        const polls = asked === undefined ? 0 : 1
        return damage.around(
          'the postponement of task',
          uid,
          () => letGo.run(uid, token, Math.round(dueAtMs), polls, word, error, deadlineMs, nowMs).changes === 1,
          () => false,
        )
      })
    },

    cancelTask(uid: string, nowMs: number): WithEndedTask<Task | undefined> {
      const row = byUid.get(uid) as TaskRow | undefined
      if (row === undefined) return { value: undefined }
      if (row.ended_at !== null) return { value: taskOf(row) }
      const ended = endTask.close(row, 'cancelled', row.last_error, nowMs)
      return { value: taskOf(byUid.get(uid) as TaskRow), ended }
    },
  }
}

/** What a process that is gone had leased is due at once, or when it is stale. */
export function letGoOfTasks(db: DatabaseSync, damage: Damage, nowMs: number): void {
  const live = db.prepare('SELECT key FROM task INDEXED BY task_expiring WHERE ended_at IS NULL')
  const letGo = db.prepare(`
    UPDATE task SET due_at = min(CASE status WHEN 'pending' THEN max(?1, stale_at) ELSE ?1 END, expires_at)
    WHERE key = ?2 AND lease IS NOT NULL
  `)
  for (const { key } of live.all())
    damage.around(
      'the lease of task',
      Number(key),
      () => letGo.run(nowMs, Number(key)),
      () => undefined,
    )
}

export function preparePruneTasks(db: DatabaseSync, tally: Tally, damage: Damage) {
  const isOld = `created_at < ?1 + ${MAX_TOLERANCE_MS}`
  const select = db.prepare(`SELECT key FROM task WHERE ended_at < ?1 AND ${isOld} ORDER BY ended_at LIMIT ?2`)
  const ended = db.prepare('SELECT key FROM task INDEXED BY task_ended WHERE ended_at < ? ORDER BY ended_at')
  const remove = db.prepare(`DELETE FROM task WHERE key = ?2 AND ${isOld} RETURNING status`)

  function prune(key: number, endedBeforeMs: number): number {
    const row = damage.around(
      'the pruning of task',
      key,
      () => remove.get(endedBeforeMs, key),
      () => undefined,
    )
    if (row === undefined) return 0
    tally.add(`task:${row.status as TaskStatus}`, -1)
    return 1
  }

  return (endedBeforeMs: number, limit: number): number => {
    const old = damage.around(
      'the tasks that',
      'ended',
      () => select.all(endedBeforeMs, limit),
      () => ended.all(endedBeforeMs),
    )
    let pruned = 0
    for (const { key } of old) if (pruned < limit) pruned += prune(Number(key), endedBeforeMs)
    return pruned
  }
}
