import type { DatabaseSync } from 'node:sqlite'
import type { TaskLease } from '../../domain/event.ts'
import type { EndedTask, Task, TaskEnd } from '../../domain/task.ts'
import type { WithEndedTask } from '../shared/ended-tasks.ts'
import { endedTaskOf, type TaskRow, taskEndOf, taskOf } from '../shared/tasks.ts'
import type { StateCounts } from './counts.ts'
import type { Damage } from './damage.ts'
import { prepareKeepQuestion } from './questions.ts'
import type { IncomingEvent } from './thread-event.ts'

/** The effect of an appended event on a task. */
export type TaskEffect =
  | { readonly kind: 'none' }
  /** The event was made under a lease of the task that is gone. */
  | { readonly kind: 'fenced' }
  /** Another event has ended the task. */
  | { readonly kind: 'superseded' }
  | { readonly kind: 'ends'; readonly task: TaskRow; readonly end: TaskEnd; readonly taskLease: TaskLease | null }

const NONE: TaskEffect = { kind: 'none' }
const FENCED: TaskEffect = { kind: 'fenced' }
const SUPERSEDED: TaskEffect = { kind: 'superseded' }

/** The only place where tasks become terminal. */
export function prepareEndTask(db: DatabaseSync, counts: StateCounts, damage: Damage) {
  const keepQuestion = prepareKeepQuestion(db, damage)
  const byLease = db.prepare('SELECT * FROM task WHERE uid = ? AND lease = ? AND ended_at IS NULL')
  const byId = db.prepare('SELECT * FROM task WHERE source = ? AND id = ?')
  const update = db.prepare(`
    UPDATE task SET status = ?, word = coalesce(?, word), ended_at = ?, resolved_by = ?, event = ?, last_error = ?,
      polls = polls + ?, request = NULL, lease = NULL
    WHERE key = ?
  `)

  function effectOn(source: string, id: string | null, end: TaskEnd): TaskEffect {
    const task = id === null ? undefined : (byId.get(source, id) as TaskRow | undefined)
    if (task === undefined) return NONE
    if (task.ended_at === null) return { kind: 'ends', task, end, taskLease: null }
    return task.event === null ? NONE : SUPERSEDED
  }

  return {
    /** The effect of an event of this source that came by webhook. */
    effectOn,

    /** The effect of an event that is about to be stored. */
    effectOf({ source, task: id, taskEnd: status, taskWord: word, taskLease }: IncomingEvent): TaskEffect {
      if (status === null) return taskLease === null ? NONE : FENCED
      const end = taskEndOf({ task_end: status, task_word: word })
      if (taskLease === null) return effectOn(source, id, end)
      const task = byLease.get(taskLease.uid, taskLease.lease) as TaskRow | undefined
      return task === undefined ? FENCED : { kind: 'ends', task, end, taskLease }
    },

    /** Ends the task by the event `uid`. */
    resolve(task: TaskRow, end: TaskEnd, taskLease: TaskLease | null, uid: string, nowMs: number): EndedTask {
      counts.move(`task:${task.status}`, `task:${end.status}`)
      const by = taskLease?.by ?? 'webhook'
      // An expired task keeps its last error and the provider's last status.
      const word = by === 'expiry' ? (taskLease?.providerStatus ?? null) : end.word
      const error = taskLease?.error ?? (by === 'expiry' ? task.last_error : null)
      const isPolled = by === 'poll' || taskLease?.question !== undefined
      keepQuestion(task.key, taskLease?.question)
      update.run(end.status, word, nowMs, by, uid, error, isPolled ? 1 : 0, task.key)
      return endedTaskOf(task, end.status, by)
    },

    /** Ends the task without an event: its owner cancelled it, or the provider refused it. */
    close(task: TaskRow, status: 'cancelled' | 'failed', error: string | null, nowMs: number): EndedTask {
      counts.move(`task:${task.status}`, `task:${status}`)
      update.run(status, null, nowMs, null, null, error, 0, task.key)
      return endedTaskOf(task, status, undefined)
    },
  }
}

export type EndTask = ReturnType<typeof prepareEndTask>

export function prepareCancelTask(db: DatabaseSync, endTask: EndTask) {
  const byUid = db.prepare('SELECT * FROM task WHERE uid = ?')
  const find = (uid: string): TaskRow | undefined => byUid.get(uid) as TaskRow | undefined

  return (uid: string, nowMs: number): WithEndedTask<Task | undefined> => {
    const row = find(uid)
    if (row === undefined) return { value: undefined }
    if (row.ended_at !== null) return { value: taskOf(row) }
    const ended = endTask.close(row, 'cancelled', row.last_error, nowMs)
    return { value: taskOf(find(uid) ?? row), ended }
  }
}
