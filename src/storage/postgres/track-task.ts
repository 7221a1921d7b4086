import { MAX_TOLERANCE_MS } from '../../domain/clock.ts'
import { HoldfastError } from '../../domain/errors.ts'
import type { NewTask, Task } from '../../domain/task.ts'
import type { TaskSubmission, Tracked } from '../../domain/task-store.ts'
import type { WithEndedTask } from '../shared/ended-tasks.ts'
import { submittedQuestion } from '../shared/questions.ts'
import { checkIdempotency, idTakenBy, leasedTaskOf, type TaskRow, taskOf } from '../shared/tasks.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Query } from './connections.ts'
import { closeTask, endIfReported } from './end-task.ts'
import { escapeText, escapeTextOrNull, isUuid } from './escape-text.ts'
import type { Leases } from './own-leases.ts'
import { questionValues } from './questions.ts'

const BY_ID = 'SELECT * FROM task WHERE source = $1 AND id = $2'
const BY_IDEMPOTENCY_KEY = 'SELECT * FROM task WHERE idempotency_key = $1'
const LOCK_ID = 'SELECT pg_advisory_xact_lock(task_lock_1($1, $2))'
/** `begun` is what `beginningTime` gives. */
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
  WHERE key = $1 RETURNING *, keep_question_1(key, clock_1($3) - $5, $4)
`

/** The inserted row, and the time of the database. */
type InsertedRow = TaskRow & Readonly<{ now: number }>

/**
 * How tasks begin. An id is locked before its task is looked up, and `append` locks it, too: if a task and the event that ends
 * it are stored at the same time, the second transaction sees the first.
 */
export function createTrackTask(connections: Connections, clock: DatabaseClock, leases: Leases) {
  return {
    track: (task: NewTask): Promise<WithEndedTask<Tracked>> =>
      connections.transaction(async (query) => {
        const { id } = task
        if (id !== undefined) await query(LOCK_ID, [escapeText(task.source), escapeText(id)])
        const existing = await findKnown(query, task)
        const lease = id === undefined ? leases.next() : undefined
        const row = existing === undefined ? await insert(query, clock, task, lease) : undefined
        if (row === undefined) {
          // If the task did not exist before, another replica has inserted it meanwhile.
          const other = existing ?? (await findKnown(query, task))
          if (other === undefined) throw new HoldfastError('invalid_request', `uid ${task.uid} is taken`)
          return { value: { task: taskOf(other), created: false, leased: undefined } }
        }
        const { value, ...rest } =
          id === undefined ? { value: taskOf(row) } : await endIfReported(query, clock, row, id)
        const leased = lease === undefined ? undefined : leasedTaskOf(row, lease, false, clock.localMs() - row.now)
        return { value: { task: value, created: true, leased }, ...rest }
      }),

    submitted: (uid: string, lease: string, submission: TaskSubmission): Promise<WithEndedTask<Task | undefined>> =>
      connections.transaction(async (query): Promise<WithEndedTask<Task | undefined>> => {
        if (!isUuid(uid)) return { value: undefined }
        const [unlocked] = await query<TaskRow>('SELECT * FROM task WHERE uid = $1', [uid])
        if (unlocked !== undefined && 'id' in submission)
          await query(LOCK_ID, [escapeText(unlocked.source), escapeText(submission.id)])
        const [row] = await query<TaskRow>(BY_LEASE, [uid, escapeText(lease)])
        if (row === undefined) return { value: undefined }
        const fail = (error: string) =>
          closeTask(query, clock, row, 'failed', error, submittedQuestion(submission, error))
        if ('refused' in submission) return fail(submission.refused)
        const [other] = await query<TaskRow>(BY_ID, [escapeText(row.source), escapeText(submission.id)])
        if (other !== undefined) return fail(idTakenBy(other))
        const kept = questionValues(submittedQuestion(submission, undefined), clock.localMs())
        const id = escapeText(submission.id)
        const [begun = row] = await query<TaskRow>(BEGIN, [row.key, id, clock.givenMs(), ...kept])
        return endIfReported(query, clock, begun, submission.id)
      }),
  }
}

async function findKnown(query: Query, task: NewTask): Promise<TaskRow | undefined> {
  const { source, id, idempotency } = task
  const [row] = idempotency ? await query<TaskRow>(BY_IDEMPOTENCY_KEY, [escapeText(idempotency.key)]) : []
  checkIdempotency(row, task)
  if (row !== undefined || id === undefined) return row
  return (await query<TaskRow>(BY_ID, [escapeText(source), escapeText(id)]))[0]
}

async function insert(
  query: Query,
  clock: DatabaseClock,
  task: NewTask,
  lease: string | undefined,
): Promise<InsertedRow | undefined> {
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
