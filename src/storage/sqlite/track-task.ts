import { randomUUID } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { beginningTime } from '../../domain/clock.ts'
import { HoldfastError } from '../../domain/errors.ts'
import type { EndedTask, NewTask, Task, TaskEnding } from '../../domain/task.ts'
import type { TaskSubmission, Tracked } from '../../domain/task-store.ts'
import { prepareReadClock } from './clock.ts'
import type { EndTask } from './end-task.ts'
import type { Row } from './rows.ts'
import type { Tally } from './tally.ts'
import { leasedTaskOf, taskOf } from './task-rows.ts'

/** An operation's answer, and the task that it ended. */
export interface Ending<Value> {
  readonly value: Value
  readonly ended?: EndedTask
}

const BY_KEY = 'SELECT * FROM task WHERE key = ?'
const BY_ID = 'SELECT * FROM task WHERE source = ? AND id = ?'

/** How tasks begin: tracked, or submitted. */
export function prepareTrackTask(db: DatabaseSync, tally: Tally, endTask: EndTask) {
  const catchUp = prepareCatchUp(db, endTask)
  return {
    track: prepareTrack(db, tally, catchUp),
    submitted: prepareSubmitted(db, tally, endTask, catchUp),
  }
}

type CatchUp = ReturnType<typeof prepareCatchUp>

/** Ends a task whose end came before its id was known. */
function prepareCatchUp(db: DatabaseSync, endTask: EndTask) {
  const byKey = db.prepare(BY_KEY)
  const firstEnd = db.prepare(`
    SELECT uid, task_end, task_word FROM event INDEXED BY event_by_task
    WHERE task = ? AND source = ? AND task_end IS NOT NULL AND variant = 0 ORDER BY received_at, key LIMIT 1
  `)

  return (key: number, source: string, id: string, nowMs: number): EndedTask | undefined => {
    const event = firstEnd.get(id, source)
    const task = byKey.get(key)
    if (event === undefined || task === undefined) return undefined
    const end = { status: event.task_end as TaskEnding, word: String(event.task_word) }
    return endTask.resolve(task, end, null, String(event.uid), nowMs)
  }
}

function prepareTrack(db: DatabaseSync, tally: Tally, catchUp: CatchUp) {
  const byKey = db.prepare(BY_KEY)
  const byId = db.prepare(BY_ID)
  const byIdempotencyKey = db.prepare('SELECT * FROM task WHERE idempotency_key = ?')
  const insert = db.prepare(`
    INSERT INTO task (uid, source, id, status, request, metadata, idempotency_key, fingerprint, created_at, stale_at,
      expires_at, due_at, lease, polls, failures)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)
  `)
  const readClock = prepareReadClock(db)

  function known({ source, id, idempotency }: NewTask): Row | undefined {
    const row = idempotency && byIdempotencyKey.get(idempotency.key)
    if (row !== undefined && row.fingerprint !== idempotency?.fingerprint) {
      throw new HoldfastError('idempotency_mismatch', 'the Idempotency-Key was used for another request')
    }
    return row ?? (id === undefined ? undefined : byId.get(source, id))
  }

  return (task: NewTask, nowMs: number): Ending<Tracked> => {
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
    tally.add(id === undefined ? 'task:submitting' : 'task:pending')
    const ended = id === undefined ? undefined : catchUp(key, task.source, id, nowMs)
    const row = byKey.get(key) as Row
    const leased = lease === undefined ? undefined : leasedTaskOf(row, lease, false)
    return { value: { task: taskOf(row), created: true, leased }, ...(ended && { ended }) }
  }
}

function prepareSubmitted(db: DatabaseSync, tally: Tally, endTask: EndTask, catchUp: CatchUp) {
  const byKey = db.prepare(BY_KEY)
  const byId = db.prepare(BY_ID)
  const byLease = db.prepare("SELECT * FROM task WHERE uid = ? AND lease = ? AND status = 'submitting'")
  const begin = db.prepare(`
    UPDATE task SET id = ?, status = 'pending', request = NULL, lease = NULL, failures = 0, last_error = NULL,
      due_at = min(stale_at, expires_at)
    WHERE key = ?
  `)
  const read = (key: number): Task => taskOf(byKey.get(key) as Row)

  return (uid: string, lease: string, submission: TaskSubmission, nowMs: number): Ending<Task | undefined> => {
    const task = byLease.get(uid, lease)
    if (task === undefined) return { value: undefined }
    const key = Number(task.key)
    const source = String(task.source)
    const refusal = 'refused' in submission ? submission.refused : takenBy(byId.get(source, submission.id))
    if (refusal !== undefined || 'refused' in submission) {
      const ended = endTask.close(task, 'failed', refusal ?? null, nowMs)
      return { value: read(key), ended }
    }
    begin.run(submission.id, key)
    tally.move('task:submitting', 'task:pending')
    const ended = catchUp(key, source, submission.id, nowMs)
    return { value: read(key), ...(ended && { ended }) }
  }
}

const takenBy = (other: Row | undefined): string | undefined =>
  other && `the provider gave it the id of task ${String(other.uid)}`
