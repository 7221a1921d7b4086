import type { EndedTask, TaskEnding } from '../../domain/task.ts'
import type { Query, Row } from './connections.ts'
import type { DatabaseClock } from './database-clock.ts'
import { endedTaskOf, type TaskRow } from './task-rows.ts'
import { toTextOrNull } from './text.ts'

const GIVE_UP = {
  name: 'give-up-end',
  text: `
    UPDATE task SET event = NULL FROM event
    WHERE event.key = $1 AND task.source = event.source AND task.id = event.task AND task.event = event.uid
    RETURNING task.key
  `,
}
/** As `append` locks it: whichever of a task and its last event comes second sees the first. */
const LOCK = {
  name: 'lock-end',
  text: `
    SELECT pg_advisory_xact_lock(task_lock_1(source, task)), task_end, task_word FROM event
    WHERE key = $1 AND task_end IS NOT NULL AND task IS NOT NULL
  `,
}
const TASK = {
  name: 'task-of-event',
  text: `
    SELECT task.* FROM event JOIN task ON task.source = event.source AND task.id = event.task
    WHERE event.key = $1 FOR UPDATE OF task
  `,
}
const END = {
  name: 'end-by-event',
  text: "SELECT end_task_1(task, clock_1($2), $3, $4, 'webhook', $5, NULL) FROM task WHERE key = $1",
}
const TELL = { name: 'tell-end', text: 'UPDATE task SET event = $2 WHERE key = $1' }

/**
 * Of an event that gives its id up: another may tell the end that it has told, and is not superseded by what no handler took.
 * Gives the task.
 */
export async function giveUpEnd(query: Query, eventKey: number): Promise<number | undefined> {
  const [task] = await query<{ key: number }>(GIVE_UP, [eventKey])
  return task?.key
}

/** Of an event that runs after all: it ends the task of whose end it tells, unless another event has ended that. */
export async function tellEnd(
  query: Query,
  clock: DatabaseClock,
  { key, uid }: { readonly key: number; readonly uid: string },
  givenUp: number | undefined,
): Promise<EndedTask | 'superseded' | undefined> {
  const [end] = await query<End>(LOCK, [key])
  const [task] = end === undefined ? [] : await query<TaskRow>(TASK, [key])
  if (end === undefined || task === undefined) return undefined
  if (task.ended_at === null) {
    await query(END, [task.key, clock.givenMs(), end.task_end, toTextOrNull(end.task_word ?? end.task_end), uid])
    return endedTaskOf(task, end.task_end, 'webhook')
  }
  if (task.event !== null) return 'superseded'
  if (task.key === givenUp) await query(TELL, [task.key, uid])
  return undefined
}

interface End extends Row {
  readonly task_end: TaskEnding
  readonly task_word: string | null
}
