import type { EndedTask, TaskEnding } from '../../domain/task.ts'
import type { TaskName } from '../../domain/task-store.ts'
import type { DatabaseClock } from './clock.ts'
import type { Connections, Query, Row } from './connections.ts'
import { escapeTextOrNull } from './escape-text.ts'
import { endedTaskOf, type TaskRow } from './task-rows.ts'

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
export async function giveUpTaskEnd(query: Query, eventKey: number): Promise<number | undefined> {
  const [task] = await query<{ key: number }>(GIVE_UP, [eventKey])
  return task?.key
}

/** Of an event that runs after all: it ends the task of whose end it tells, unless another event has ended that. */
export async function tellTaskEnd(
  query: Query,
  clock: DatabaseClock,
  { key, uid }: { readonly key: number; readonly uid: string },
  givenUp: number | undefined,
): Promise<EndedTask | 'superseded' | undefined> {
  const [end] = await query<End>(LOCK, [key])
  const [task] = end === undefined ? [] : await query<TaskRow>(TASK, [key])
  if (end === undefined || task === undefined) return undefined
  if (task.ended_at === null) {
    await query(END, [task.key, clock.givenMs(), end.task_end, escapeTextOrNull(end.task_word ?? end.task_end), uid])
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

/** After an end there may be more; without, it looks ever more seldom. */
const SHORTEST_MS = 50
const LONGEST_MS = 400
/** A commit may become visible so long after the time that it bears. */
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
 * Looks for ends of tasks that other replicas bring, while somebody waits: one look for all who do. It costs what ends, not
 * what waits.
 */
export function watchEndedTasks(
  connections: Connections,
  clock: DatabaseClock,
  listener: (name: TaskName) => void,
): () => void {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let waitMs = SHORTEST_MS
  let sinceMs: number | undefined
  let told = new Set<string>()

  async function look(): Promise<void> {
    try {
      sinceMs ??= await startMs()
      const rows = await connections.run<EndedRow>('read', ENDED, [sinceMs, MAX_ENDS])
      const fresh = rows.filter(({ uid }) => !told.has(uid))
      if (!stopped) for (const { uid, source, id } of fresh) listener({ uid, source, id })
      waitMs = fresh.length > 0 ? SHORTEST_MS : Math.min(LONGEST_MS, waitMs * 2)
      const last = rows.at(-1)
      if (last !== undefined) {
        const from = rows.length === MAX_ENDS ? last.ended_at : Math.max(sinceMs, last.ended_at - OVERLAP_MS)
        sinceMs = from
        told = new Set(rows.filter(({ ended_at }) => ended_at >= from).map(({ uid }) => uid))
      }
    } catch {
      // The database's trouble is told of elsewhere; whoever waits looks for himself in the end.
      waitMs = LONGEST_MS
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
