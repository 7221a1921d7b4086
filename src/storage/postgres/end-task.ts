import type { EndedTask, Task } from '../../domain/task.ts'
import type { TaskName } from '../../domain/task-ends.ts'
import type { Question } from '../../domain/task-question.ts'
import type { WithEndedTask } from '../shared/ended-tasks.ts'
import { endedTaskOf, type TaskEndRow, type TaskRow, taskEndOf, taskOf } from '../shared/tasks.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Query } from './connections.ts'
import { escapeText, escapeTextOrNull, isUuid } from './escape-text.ts'
import { questionValues } from './questions.ts'

const GIVE_UP = {
  name: 'give-up-end',
  text: `
    UPDATE task SET event = NULL FROM event
    WHERE event.key = $1 AND task.source = event.source AND task.id = event.task AND task.event = event.uid
    RETURNING task.key
  `,
}
/**
 * The lock that `append` takes, too: if a task and the event that ends it are stored at the same time, the second transaction
 * sees the first.
 */
const LOCK = {
  name: 'lock-end',
  text: `
    SELECT pg_advisory_xact_lock(task_lock_1(source, task)), task_end, task_word FROM event
    WHERE key = $1 AND task_end IS NOT NULL AND task IS NOT NULL
  `,
}
const TASK_OF_EVENT = {
  name: 'task-of-event',
  text: `
    SELECT task.* FROM event JOIN task ON task.source = event.source AND task.id = event.task
    WHERE event.key = $1 FOR UPDATE OF task
  `,
}
const BY_KEY = 'SELECT * FROM task WHERE key = $1'
const FIRST_END = `
  SELECT uid, task_end, task_word FROM event
  WHERE task = $1 AND source = $2 AND task_end IS NOT NULL AND variant = 0 ORDER BY received_at, key LIMIT 1
`
const END = {
  name: 'end-task',
  text: `
    SELECT end_task_1(task, clock_1($2), $3, $4, $5, $6, $7), keep_question_1(key, clock_1($2) - $9, $8)
    FROM task WHERE key = $1
  `,
}
const SET_EVENT = { name: 'tell-end', text: 'UPDATE task SET event = $2 WHERE key = $1' }

/** Ends the task by the event `eventUid`, which came by webhook. */
async function endByEvent(
  query: Query,
  clock: DatabaseClock,
  task: TaskRow,
  row: TaskEndRow,
  eventUid: string,
): Promise<EndedTask> {
  const { status, word } = taskEndOf(row)
  await query(END, [task.key, clock.givenMs(), status, escapeText(word), 'webhook', eventUid, null, null, 0])
  return endedTaskOf(task, status, 'webhook')
}

/** Ends a task that is new, or has just got its id, if an event that reports its end was stored before. */
export async function endIfReported(
  query: Query,
  clock: DatabaseClock,
  task: TaskRow,
  id: string,
): Promise<WithEndedTask<Task>> {
  const [event] = await query<TaskEndRow & Readonly<{ uid: string }>>(FIRST_END, [
    escapeText(id),
    escapeText(task.source),
  ])
  if (event === undefined) return { value: taskOf(task) }
  const ended = await endByEvent(query, clock, task, event, event.uid)
  const [row = task] = await query<TaskRow>(BY_KEY, [task.key])
  return { value: taskOf(row), ended }
}

/** Ends a task without an event: its owner cancelled it, or the provider refused it. */
export async function closeTask(
  query: Query,
  clock: DatabaseClock,
  task: TaskRow,
  status: 'cancelled' | 'failed',
  error: string | null,
  question?: Question,
): Promise<WithEndedTask<Task>> {
  const kept = questionValues(question, clock.localMs())
  await query(END, [task.key, clock.givenMs(), status, null, null, null, escapeTextOrNull(error), ...kept])
  const [row = task] = await query<TaskRow>(BY_KEY, [task.key])
  return { value: taskOf(row), ended: endedTaskOf(task, status, undefined) }
}

export const createCancelTask =
  (connections: Connections, clock: DatabaseClock) =>
  (uid: string): Promise<WithEndedTask<Task | undefined>> =>
    connections.transaction(async (query): Promise<WithEndedTask<Task | undefined>> => {
      const rows = isUuid(uid) ? await query<TaskRow>('SELECT * FROM task WHERE uid = $1 FOR UPDATE', [uid]) : []
      const [row] = rows
      if (row === undefined) return { value: undefined }
      return row.ended_at === null ? closeTask(query, clock, row, 'cancelled', row.last_error) : { value: taskOf(row) }
    })

/**
 * Makes an event that gives its id up also give up the task that it ended: another event may then end that task without being
 * superseded. Returns the key of the task.
 */
export async function giveUpTaskEnd(query: Query, eventKey: number): Promise<number | undefined> {
  const [task] = await query<{ key: number }>(GIVE_UP, [eventKey])
  return task?.key
}

/**
 * Ends the task of an event that has just taken an id, unless another event has ended the task. `givenUp`: the key of the task
 * that the quarantined event has given up.
 */
export async function takeTaskEnd(
  query: Query,
  clock: DatabaseClock,
  { key, uid }: { readonly key: number; readonly uid: string },
  givenUp: number | undefined,
): Promise<EndedTask | 'superseded' | undefined> {
  const [end] = await query<TaskEndRow>(LOCK, [key])
  const [task] = end === undefined ? [] : await query<TaskRow>(TASK_OF_EVENT, [key])
  if (end === undefined || task === undefined) return undefined
  if (task.ended_at === null) return endByEvent(query, clock, task, end, uid)
  if (task.event !== null) return 'superseded'
  if (task.key === givenUp) await query(SET_EVENT, [task.key, uid])
  return undefined
}

/** Bounds of the pause between two looks. After an ended task another one may follow soon; without one the pause doubles. */
const MIN_PAUSE_MS = 50
const MAX_PAUSE_MS = 400
/** A task may become visible this long after its `ended_at`. */
const OVERLAP_MS = 6_000
const MAX_ENDS = 5_000

const ENDED = {
  name: 'ended-since',
  text: 'SELECT uid, source, id, ended_at FROM task WHERE ended_at >= $1 ORDER BY ended_at LIMIT $2',
}

interface EndedRow extends TaskName, Record<string, unknown> {
  readonly ended_at: number
}

/**
 * Looks for tasks that other replicas have ended, as long as any caller waits for a task. One look serves all waiters; its cost
 * grows with the number of ended tasks, and not with that of the waiters.
 */
export function watchEndedTasks(
  connections: Connections,
  clock: DatabaseClock,
  listener: (name: TaskName) => void,
): () => void {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let waitMs = MIN_PAUSE_MS
  let sinceMs: number | undefined
  let reportedUids = new Set<string>()

  async function look(): Promise<void> {
    try {
      sinceMs ??= await startMs()
      const rows = await connections.run<EndedRow>('read', ENDED, [sinceMs, MAX_ENDS])
      const fresh = rows.filter(({ uid }) => !reportedUids.has(uid))
      if (!stopped) for (const { uid, source, id } of fresh) listener({ uid, source, id })
      waitMs = fresh.length > 0 ? MIN_PAUSE_MS : Math.min(MAX_PAUSE_MS, waitMs * 2)
      const last = rows.at(-1)
      if (last !== undefined) {
        const from = rows.length === MAX_ENDS ? last.ended_at : Math.max(sinceMs, last.ended_at - OVERLAP_MS)
        sinceMs = from
        reportedUids = new Set(rows.filter(({ ended_at }) => ended_at >= from).map(({ uid }) => uid))
      }
    } catch {
      // The store's health reports the error. A waiter reads its task once more before it gives up.
      waitMs = MAX_PAUSE_MS
    }
    if (!stopped) timer = setTimeout(() => void look(), waitMs)
  }

  async function startMs(): Promise<number> {
    const [row] = await connections.run<{ now: number }>('read', 'SELECT clock_1($1) AS now', [clock.givenMs()])
    return (row?.now ?? clock.localMs()) - OVERLAP_MS
  }

  void look()
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}
