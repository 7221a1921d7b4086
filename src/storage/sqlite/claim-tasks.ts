import { randomUUID } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { deadlineTime } from '../../domain/clock.ts'
import type { LeasedTask } from '../../domain/task.ts'
import type { TaskClaim, TaskPostponement } from '../../domain/task-store.ts'
import { postponedQuestion } from '../shared/questions.ts'
import { expiryOf, leasedTaskOf, type TaskRow } from '../shared/tasks.ts'
import { prepareReadClock } from './clock.ts'
import type { Damage } from './damage.ts'
import { prepareKeepQuestion } from './questions.ts'
import type { Row } from './statement-cache.ts'

/** A pending task that was polled on request before it was stale is not due before it is stale. */
const NOT_BEFORE_STALE = "CASE status WHEN 'pending' THEN max(?3, stale_at) ELSE ?3 END"

/** Later than any time. */
const NEVER = Number.MAX_SAFE_INTEGER

/** Leases tasks. A leased task becomes due when its lease ends, so that a lost lease needs no step that reclaims it. */
export function prepareClaimTasks(db: DatabaseSync, damage: Damage) {
  const dueTasks = prepareDueTasks(db, damage)
  const byUid = db.prepare('SELECT * FROM task WHERE uid = ?')
  const take = db.prepare('UPDATE task SET lease = ?, due_at = ? WHERE key = ?')
  const release = db.prepare(`
    UPDATE task SET lease = NULL, due_at = min(${NOT_BEFORE_STALE}, CASE WHEN expires_at > ?7 AND expires_at <= ?8 THEN ${NEVER} ELSE expires_at END),
      polls = polls + (?4 AND status = 'pending'),
      failures = CASE WHEN ?5 IS NOT NULL THEN 0 ELSE failures + ?4 END,
      word = coalesce(?5, word),
      last_error = CASE WHEN ?4 THEN ?6 ELSE last_error END
    WHERE uid = ?1 AND lease = ?2 AND ended_at IS NULL RETURNING key
  `)
  const keepQuestion = prepareKeepQuestion(db, damage)

  const readClock = prepareReadClock(db)
  const deadline = (nowMs: number): number => deadlineTime(readClock(), nowMs)

  function lease(row: TaskRow, leaseMs: number, nowMs: number): LeasedTask {
    const token = randomUUID()
    take.run(token, nowMs + leaseMs, row.key)
    const claimed = { ...row, expires_at: expiryOf(row, deadline(nowMs), nowMs) }
    return leasedTaskOf(claimed, token, row.lease !== null)
  }

  /** Undefined: the lease cannot be written, because the row has to move and the page beside it is damaged. */
  const leaseReadable = (row: TaskRow, leaseMs: number, nowMs: number): LeasedTask | undefined =>
    damage.around(
      'the leasing of task',
      row.key,
      () => lease(row, leaseMs, nowMs),
      () => undefined,
    )

  function postponeOne(postponement: TaskPostponement, deadlineMs: number, nowMs: number): boolean {
    const { uid, lease: token, dueAtMs, outcome } = postponement
    const { providerStatus: word = null, error = null } = outcome ?? {}
    const polls = outcome === undefined ? 0 : 1
    const released = release.get(uid, token, Math.round(dueAtMs), polls, word, error, deadlineMs, nowMs)
    if (released === undefined) return false
    keepQuestion(Number(released.key), postponedQuestion(postponement))
    return true
  }

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
      return postponements.map((postponement) =>
        damage.around(
          'the postponement of task',
          postponement.uid,
          () => postponeOne(postponement, deadlineMs, nowMs),
          () => false,
        ),
      )
    },
  }
}

/** The tasks of a source that may be claimed. */
interface DueTasks {
  /** Tasks past their deadline. */
  expired(claim: TaskClaim, nowMs: number, deadlineMs: number): readonly Row[]
  /** Tasks to poll. Tasks without failures go first, except in the places that are reserved for tasks with failures. */
  due(claim: TaskClaim, nowMs: number, deadlineMs: number): readonly Row[]
}

/** Leaves out tasks on damaged pages. */
function prepareDueTasks(db: DatabaseSync, damage: Damage): DueTasks {
  const open = 'expires_at > ?2'
  const sound = prepareQueue(db, damage, { index: 'task_due_sound', at: 'due_at', of: 'failures = 0', free: open })
  const failed = prepareQueue(db, damage, { index: 'task_due_failed', at: 'due_at', of: 'failures > 0', free: open })
  const free = '(lease IS NULL OR due_at <= ?2)'
  const expired = prepareQueue(db, damage, { index: 'task_expiring', at: 'expires_at', of: 'true', free })

  return {
    expired: ({ source, expiredLimit }, nowMs, deadlineMs) => expired(source, deadlineMs, nowMs, expiredLimit),
    due({ source, staleLimit, failedPlaces = 0 }, nowMs, deadlineMs) {
      const limit = Math.max(0, staleLimit)
      const first = sound(source, nowMs, deadlineMs, limit)
      const places = Math.min(limit, Math.max(failedPlaces, limit - first.length))
      const others = failed(source, nowMs, deadlineMs, places)
      return [...first.slice(0, limit - others.length), ...others]
    },
  }
}

interface TaskQueue {
  readonly index: string
  /** The column that orders the tasks, and is compared with the time up to which they are due. */
  readonly at: string
  /** The condition by which the index selects from the tasks that have not ended. */
  readonly of: string
  /** A further condition on the rows, by another time (`?2`). */
  readonly free: string
}

function prepareQueue(db: DatabaseSync, damage: Damage, { index, at, of, free }: TaskQueue) {
  const from = `FROM task INDEXED BY ${index} WHERE source = ?1 AND ${at} <= ?3 AND ended_at IS NULL AND ${of}`
  const rows = db.prepare(`SELECT * ${from} AND ${free} ORDER BY ${at}, key LIMIT ?4`)
  const keys = db.prepare(`SELECT key ${from} AND ?2 IS NOT NULL ORDER BY ${at}, key`)
  const row = db.prepare(`SELECT * FROM task WHERE key = ?1 AND ${free}`)

  /** Reads the keys from the index alone, and each row on its own. */
  function carefully(source: string, untilMs: number, otherMs: number, limit: number): readonly Row[] {
    const found: Row[] = []
    for (const { key } of keys.all(source, otherMs, untilMs)) {
      if (found.length >= limit) break
      const task = damage.around(
        'the row of task',
        Number(key),
        () => row.get(Number(key), otherMs),
        () => undefined,
      )
      if (task !== undefined) found.push(task)
    }
    return found
  }

  return (source: string, untilMs: number, otherMs: number, limit: number): readonly Row[] =>
    damage.around(
      `the tasks by ${index} of`,
      source,
      // SQLite takes a negative limit for no limit.
      () => rows.all(source, otherMs, untilMs, Math.max(0, limit)),
      () => carefully(source, untilMs, otherMs, limit),
    )
}
