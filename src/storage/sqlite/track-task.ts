import { randomUUID } from 'node:crypto'
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { beginningTime } from '../../domain/clock.ts'
import type { EndedTask, NewTask, Task } from '../../domain/task.ts'
import type { TaskSubmission, Tracked } from '../../domain/task-store.ts'
import type { WithEndedTask } from '../shared/ended-tasks.ts'
import { submittedQuestion } from '../shared/questions.ts'
import {
  checkIdempotency,
  idTakenBy,
  leasedTaskOf,
  type TaskEndRow,
  type TaskRow,
  taskEndOf,
  taskOf,
} from '../shared/tasks.ts'
import { prepareReadClock } from './clock.ts'
import type { StateCounts } from './counts.ts'
import type { Damage } from './damage.ts'
import type { EndTask } from './end-task.ts'
import { prepareKeepQuestion } from './questions.ts'

const BY_KEY = 'SELECT * FROM task WHERE key = ?'
const BY_ID = 'SELECT * FROM task WHERE source = ? AND id = ?'

/** How tasks begin: tracked, or submitted. */
export function prepareTrackTask(db: DatabaseSync, counts: StateCounts, endTask: EndTask, damage: Damage) {
  const endIfReported = prepareEndIfReported(db, endTask)
  return {
    track: prepareTrack(db, counts, endIfReported),
    submitted: prepareSubmitted(db, { counts, endTask, endIfReported, keepQuestion: prepareKeepQuestion(db, damage) }),
  }
}

type EndIfReported = ReturnType<typeof prepareEndIfReported>

/** Ends a task that is new, or has just got its id, if an event that reports its end was stored before. */
function prepareEndIfReported(db: DatabaseSync, endTask: EndTask) {
  const byKey = db.prepare(BY_KEY)
  const firstEnd = db.prepare(`
    SELECT uid, task_end, task_word FROM event INDEXED BY event_by_task
    WHERE task = ? AND source = ? AND task_end IS NOT NULL AND variant = 0 ORDER BY received_at, key LIMIT 1
  `)

  return (key: number, source: string, id: string, nowMs: number): EndedTask | undefined => {
    const event = firstEnd.get(id, source)
    const task = find(byKey, key)
    if (event === undefined || task === undefined) return undefined
    return endTask.resolve(task, taskEndOf(event as TaskEndRow), null, String(event.uid), nowMs)
  }
}

function prepareTrack(db: DatabaseSync, counts: StateCounts, endIfReported: EndIfReported) {
  const byKey = db.prepare(BY_KEY)
  const byId = db.prepare(BY_ID)
  const byIdempotencyKey = db.prepare('SELECT * FROM task WHERE idempotency_key = ?')
  const insert = db.prepare(`
    INSERT INTO task (uid, source, id, status, request, metadata, idempotency_key, fingerprint, created_at, stale_at,
      expires_at, due_at, lease, polls, failures)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)
  `)
  const readClock = prepareReadClock(db)

  function known(task: NewTask): TaskRow | undefined {
    const { source, id, idempotency } = task
    const row = idempotency && find(byIdempotencyKey, idempotency.key)
    checkIdempotency(row, task)
    return row ?? (id === undefined ? undefined : find(byId, source, id))
  }

  return (task: NewTask, nowMs: number): WithEndedTask<Tracked> => {
    const existing = known(task)
    if (existing !== undefined) return { value: { task: taskOf(existing), created: false, leased: undefined } }
    const { id, idempotency, leaseMs = 0 } = task
    const begunMs = beginningTime(readClock(), nowMs)
    const [staleAtMs, expiresAtMs] = [nowMs + task.maxWaitMs, begunMs + task.deadlineMs]
    const lease = id === undefined ? randomUUID() : undefined
    const key = Number(
      insert.run(
        task.uid,
        task.source,
        id ?? null,
        id === undefined ? 'submitting' : 'pending',
        task.request ?? null,
        task.metadata ?? null,
        idempotency?.key ?? null,
        idempotency?.fingerprint ?? null,
        begunMs,
        staleAtMs,
        expiresAtMs,
        lease === undefined ? Math.min(staleAtMs, expiresAtMs) : nowMs + leaseMs,
        lease ?? null,
      ).lastInsertRowid,
    )
    counts.add(id === undefined ? 'task:submitting' : 'task:pending')
    const ended = id === undefined ? undefined : endIfReported(key, task.source, id, nowMs)
    const row = byKey.get(key) as TaskRow
    const leased = lease === undefined ? undefined : leasedTaskOf(row, lease, false)
    return { value: { task: taskOf(row), created: true, leased }, ...(ended && { ended }) }
  }
}

interface SubmittedParts {
  readonly counts: StateCounts
  readonly endTask: EndTask
  readonly endIfReported: EndIfReported
  readonly keepQuestion: ReturnType<typeof prepareKeepQuestion>
}

function prepareSubmitted(db: DatabaseSync, { counts, endTask, endIfReported, keepQuestion }: SubmittedParts) {
  const byKey = db.prepare(BY_KEY)
  const byId = db.prepare(BY_ID)
  const byLease = db.prepare("SELECT * FROM task WHERE uid = ? AND lease = ? AND status = 'submitting'")
  const begin = db.prepare(`
    UPDATE task SET id = ?, status = 'pending', request = NULL, lease = NULL, failures = 0, last_error = NULL,
      due_at = min(stale_at, expires_at)
    WHERE key = ?
  `)
  const read = (key: number): Task => taskOf(byKey.get(key) as TaskRow)

  return (uid: string, lease: string, submission: TaskSubmission, nowMs: number): WithEndedTask<Task | undefined> => {
    const task = find(byLease, uid, lease)
    if (task === undefined) return { value: undefined }
    const { key, source } = task
    const close = (error: string): WithEndedTask<Task> => {
      keepQuestion(key, submittedQuestion(submission, error))
      const ended = endTask.close(task, 'failed', error, nowMs)
      return { value: read(key), ended }
    }
    if ('refused' in submission) return close(submission.refused)
    const other = find(byId, source, submission.id)
    if (other !== undefined) return close(idTakenBy(other))
    begin.run(submission.id, key)
    keepQuestion(key, submittedQuestion(submission, undefined))
    counts.move('task:submitting', 'task:pending')
    const ended = endIfReported(key, source, submission.id, nowMs)
    return { value: read(key), ...(ended && { ended }) }
  }
}

const find = (statement: StatementSync, ...values: SQLInputValue[]): TaskRow | undefined =>
  statement.get(...values) as TaskRow | undefined
