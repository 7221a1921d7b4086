import { randomUUID } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { deadlineTime, MAX_TOLERANCE_MS } from '../../domain/clock-record.ts'
import type { LeasedTask, Task, TaskStatus } from '../../domain/task.ts'
import type { TaskClaim, TaskPostponement } from '../../domain/task-store.ts'
import { prepareReadClock } from './clock.ts'
import type { EndTask } from './end-task.ts'
import type { Row } from './rows.ts'
import type { Tally } from './tally.ts'
import { leasedTaskOf, taskOf } from './task-rows.ts'
import type { Ending } from './track-task.ts'

/** One that its owner had asked for before it is stale is left alone until it is. */
const NOT_BEFORE_STALE = "CASE status WHEN 'pending' THEN max(?3, stale_at) ELSE ?3 END"

/** Of a task that is past its deadline only by a clock that is doubted. */
const NEVER = Number.MAX_SAFE_INTEGER
const GRACE_MS = 86_400_000

/**
 * Who may ask for a task. A leased task is due when its lease runs out, so that a lease that is lost needs nobody to take
 * it back.
 */
export function prepareClaimTasks(db: DatabaseSync, endTask: EndTask) {
  const due = (index: string, condition: string) =>
    db.prepare(`
      SELECT * FROM task INDEXED BY ${index}
      WHERE source = ? AND due_at <= ?2 AND ended_at IS NULL AND ${condition} AND expires_at > ?4
      ORDER BY due_at, key LIMIT ?3
    `)
  const dueSound = due('task_due_sound', 'failures = 0')
  const dueFailed = due('task_due_failed', 'failures > 0')
  const expired = db.prepare(`
    SELECT * FROM task INDEXED BY task_expiring
    WHERE source = ? AND expires_at <= ?4 AND ended_at IS NULL AND (lease IS NULL OR due_at <= ?2)
    ORDER BY expires_at, key LIMIT ?3
  `)
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

  function lease(row: Row, leaseMs: number, nowMs: number): LeasedTask {
    const token = randomUUID()
    take.run(token, nowMs + leaseMs, Number(row.key))
    const task = leasedTaskOf(row, token)
    const isByDoubtedClock = task.expiresAtMs > deadline(nowMs) && task.expiresAtMs <= nowMs
    return isByDoubtedClock ? { ...task, expiresAtMs: nowMs + GRACE_MS } : task
  }

  function dueRows({ source, staleLimit, failedPlaces = 0 }: TaskClaim, nowMs: number): readonly Row[] {
    // SQLite takes a negative limit for none.
    const limit = Math.max(0, staleLimit)
    const deadlineMs = deadline(nowMs)
    const sound = dueSound.all(source, nowMs, limit, deadlineMs)
    const places = Math.min(limit, Math.max(failedPlaces, limit - sound.length))
    const failed = dueFailed.all(source, nowMs, places, deadlineMs)
    return [...sound.slice(0, limit - failed.length), ...failed]
  }

  return {
    claimTasks(claim: TaskClaim, nowMs: number): readonly LeasedTask[] {
      const { source, expiredLimit, leaseMs } = claim
      const overdue = expired.all(source, nowMs, Math.max(0, expiredLimit), deadline(nowMs))
      return [...overdue, ...dueRows(claim, nowMs)].map((row) => lease(row, leaseMs, nowMs))
    },

    claimTask(uid: string, leaseMs: number, nowMs: number): LeasedTask | undefined {
      const row = byUid.get(uid)
      if (row === undefined || row.ended_at !== null) return undefined
      if (row.lease !== null && Number(row.due_at) > nowMs) return undefined
      return lease(row, leaseMs, nowMs)
    },

    postpone(postponements: readonly TaskPostponement[], nowMs: number): readonly boolean[] {
      const deadlineMs = deadline(nowMs)
      return postponements.map(({ uid, lease: token, dueAtMs, asked }) => {
        const { word = null, error = null } = asked ?? {}
        const polls = asked === undefined ? 0 : 1
        return letGo.run(uid, token, Math.round(dueAtMs), polls, word, error, deadlineMs, nowMs).changes === 1
      })
    },

    cancelTask(uid: string, nowMs: number): Ending<Task | undefined> {
      const row = byUid.get(uid)
      if (row === undefined) return { value: undefined }
      if (row.ended_at !== null) return { value: taskOf(row) }
      const ended = endTask.close(row, 'cancelled', null, nowMs)
      return { value: taskOf(byUid.get(uid) as Row), ended }
    },
  }
}

/** What a process that is gone had leased is due at once, or when it is stale. */
export function letGoOfTasks(db: DatabaseSync, nowMs: number): void {
  db.prepare(`
    UPDATE task SET due_at = min(CASE status WHEN 'pending' THEN max(?1, stale_at) ELSE ?1 END, expires_at)
    WHERE lease IS NOT NULL AND ended_at IS NULL
  `).run(nowMs)
}

export function preparePruneTasks(db: DatabaseSync, tally: Tally) {
  const select = db.prepare(
    `SELECT key, status FROM task WHERE ended_at < ?1 AND created_at < ?1 + ${MAX_TOLERANCE_MS} ORDER BY ended_at LIMIT ?2`,
  )
  const remove = db.prepare('DELETE FROM task WHERE key = ?')
  return (endedBeforeMs: number, limit: number): number => {
    const rows = select.all(endedBeforeMs, limit)
    for (const { key, status } of rows) {
      remove.run(Number(key))
      tally.add(`task:${status as TaskStatus}`, -1)
    }
    return rows.length
  }
}
