import { MAX_TOLERANCE_MS } from '../../domain/clock.ts'
import { HoldfastError } from '../../domain/errors.ts'
import type { EndedTask, NewTask, Task, TaskEnding } from '../../domain/task.ts'
import type { TaskSubmission, Tracked } from '../../domain/task-store.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Query } from './connections.ts'
import { escapeText, escapeTextOrNull, isUuid } from './escape-text.ts'
import type { Leases } from './leases.ts'
import { endedTaskOf, leasedTaskOf, type TaskRow, taskOf } from './task-rows.ts'

/** An operation's answer, and the task that it ended. */
export interface Ending<Value> {
  readonly value: Value
  readonly ended?: EndedTask
}

/** `now`: the database's time. */
interface InsertedRow extends TaskRow {
  readonly now: number
}

const BY_KEY = 'SELECT * FROM task WHERE key = $1'
const BY_ID = 'SELECT * FROM task WHERE source = $1 AND id = $2'
const BY_IDEMPOTENCY_KEY = 'SELECT * FROM task WHERE idempotency_key = $1'
const LOCK_ID = 'SELECT pg_advisory_xact_lock(task_lock_1($1, $2))'
/** `begun`: as `beginningTime` has it. */
const INSERT = `
  WITH clock AS MATERIALIZED (
    SELECT c.now, CASE WHEN c.now < r.known_at - ${MAX_TOLERANCE_MS} THEN r.known_at ELSE c.now END AS begun
    FROM (SELECT clock_1($9) AS now) AS c LEFT JOIN clock_record AS r ON true
  ),
  kept AS (
    INSERT INTO task (uid, source, id, status, request, metadata, idempotency_key, fingerprint, created_at, stale_at,
      expires_at, due_at, lease)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, begun, now + $10, begun + $11,
      CASE WHEN $12::text IS NULL THEN now + least($10, $11) ELSE now + $13 END, $12
    FROM clock ON CONFLICT DO NOTHING RETURNING *
  ),
  counted AS (INSERT INTO tally SELECT 'task:' || status, 1 FROM kept)
  SELECT kept.*, clock.now FROM kept, clock
`
const BY_LEASE = "SELECT * FROM task WHERE uid = $1 AND lease = $2 AND status = 'submitting' FOR UPDATE"
const BEGIN = `
  WITH counted AS (INSERT INTO tally VALUES ('task:submitting', -1), ('task:pending', 1))
  UPDATE task SET id = $2, status = 'pending', request = NULL, lease = NULL, failures = 0, last_error = NULL,
    due_at = least(stale_at, expires_at)
  WHERE key = $1 RETURNING *
`
const FIRST_END = `
  SELECT uid, task_end, task_word FROM event
  WHERE task = $1 AND source = $2 AND task_end IS NOT NULL AND variant = 0 ORDER BY received_at, key LIMIT 1
`
const END = 'SELECT end_task_1(task, clock_1($2), $3, $4, $5, $6, $7) FROM task WHERE key = $1'

/**
 * How tasks begin, and how they end without an event. An id is locked before its task is looked for, and `append` locks it
 * too: whichever of a task and its last event comes second sees the first.
 */
// oxlint-disable-next-line max-lines-per-function -- to be cut along its steps
export function createTrackTask(connections: Connections, clock: DatabaseClock, leases: Leases) {
  /** The end may have come first. */
  async function catchUp(query: Query, row: TaskRow, id: string): Promise<Ending<Task>> {
    const [event] = await query<{ uid: string; task_end: TaskEnding; task_word: string | null }>(FIRST_END, [
      escapeText(id),
      row.source,
    ])
    if (event === undefined) return { value: taskOf(row) }
    await query(END, [
      row.key,
      clock.givenMs(),
      event.task_end,
      escapeText(event.task_word ?? event.task_end),
      'webhook',
      event.uid,
      null,
    ])
    const [ended = row] = await query<TaskRow>(BY_KEY, [row.key])
    return { value: taskOf(ended), ended: endedTaskOf(row, event.task_end, 'webhook') }
  }

  async function close(query: Query, row: TaskRow, status: 'cancelled' | 'failed', error: string | null) {
    await query(END, [row.key, clock.givenMs(), status, null, null, null, escapeTextOrNull(error)])
    const [ended = row] = await query<TaskRow>(BY_KEY, [row.key])
    return { value: taskOf(ended), ended: endedTaskOf(row, status, undefined) }
  }

  async function known(query: Query, { source, id, idempotency }: NewTask): Promise<TaskRow | undefined> {
    const [row] = idempotency ? await query<TaskRow>(BY_IDEMPOTENCY_KEY, [escapeText(idempotency.key)]) : []
    if (row !== undefined && row.fingerprint !== idempotency?.fingerprint) {
      throw new HoldfastError('idempotency_mismatch', 'the Idempotency-Key was used for another request')
    }
    if (row !== undefined || id === undefined) return row
    return (await query<TaskRow>(BY_ID, [escapeText(source), escapeText(id)]))[0]
  }

  async function insert(query: Query, task: NewTask, lease: string | undefined): Promise<InsertedRow | undefined> {
    const { id, idempotency } = task
    const [row] = await query<InsertedRow>(INSERT, [
      task.uid,
      escapeText(task.source),
      escapeTextOrNull(id),
      id === undefined ? 'submitting' : 'pending',
      escapeTextOrNull(task.request),
      escapeTextOrNull(task.metadata),
      escapeTextOrNull(idempotency?.key),
      escapeTextOrNull(idempotency?.fingerprint),
      clock.givenMs(),
      task.maxWaitMs,
      task.deadlineMs,
      lease ?? null,
      task.leaseMs ?? 0,
    ])
    return row
  }

  return {
    track: (task: NewTask): Promise<Ending<Tracked>> =>
      connections.transaction(async (query) => {
        const { id } = task
        if (id !== undefined) await query(LOCK_ID, [escapeText(task.source), escapeText(id)])
        const existing = await known(query, task)
        const lease = id === undefined ? leases.next() : undefined
        const row = existing === undefined ? await insert(query, task, lease) : undefined
        if (row === undefined) {
          // If it was not there before, another replica was faster: it is there now.
          const other = existing ?? (await known(query, task))
          if (other === undefined) throw new HoldfastError('invalid_request', `uid ${task.uid} is taken`)
          return { value: { task: taskOf(other), created: false, leased: undefined } }
        }
        const { value, ...rest } = id === undefined ? { value: taskOf(row) } : await catchUp(query, row, id)
        const leased = lease === undefined ? undefined : leasedTaskOf(row, lease, false, clock.localMs() - row.now)
        return { value: { task: value, created: true, leased }, ...rest }
      }),

    submitted: (uid: string, lease: string, submission: TaskSubmission): Promise<Ending<Task | undefined>> =>
      connections.transaction(async (query): Promise<Ending<Task | undefined>> => {
        if (!isUuid(uid)) return { value: undefined }
        const [unlocked] = await query<TaskRow>('SELECT * FROM task WHERE uid = $1', [uid])
        if (unlocked !== undefined && 'id' in submission)
          await query(LOCK_ID, [unlocked.source, escapeText(submission.id)])
        const [row] = await query<TaskRow>(BY_LEASE, [uid, escapeText(lease)])
        if (row === undefined) return { value: undefined }
        if ('refused' in submission) return close(query, row, 'failed', submission.refused)
        const [other] = await query<TaskRow>(BY_ID, [row.source, escapeText(submission.id)])
        if (other !== undefined) return close(query, row, 'failed', `the provider gave it the id of task ${other.uid}`)
        const [begun = row] = await query<TaskRow>(BEGIN, [row.key, escapeText(submission.id)])
        return catchUp(query, begun, submission.id)
      }),

    cancelTask: (uid: string): Promise<Ending<Task | undefined>> =>
      connections.transaction(async (query): Promise<Ending<Task | undefined>> => {
        const rows = isUuid(uid) ? await query<TaskRow>('SELECT * FROM task WHERE uid = $1 FOR UPDATE', [uid]) : []
        const [row] = rows
        if (row === undefined) return { value: undefined }
        return row.ended_at === null ? close(query, row, 'cancelled', taskOf(row).lastError) : { value: taskOf(row) }
      }),
  }
}
