import { isName, isTaskId } from '../domain/names.ts'
import type { ApiRequest } from '../domain/outbound.ts'
import type { Registration, TaskAnswer } from '../domain/provider.ts'
import type { TaskEnd, TaskEnding } from '../domain/task.ts'

/** What the APIs of several providers have in common. */

type EndedAnswer = Extract<TaskAnswer, { event: unknown }>

/** An API's statuses that end a task, and how they end it. With any other status the task goes on. */
export type EndStatuses = ReadonlyMap<string, EndedAnswer['status']>

/** Gets a task by its id; undefined if the id would lead elsewhere in the API, or cannot stand in a URL. */
export const getTask = (path: string, taskId: string): ApiRequest | undefined =>
  isTaskId(taskId) ? { method: 'GET', path: `${path}/${encodeURIComponent(taskId)}` } : undefined

/** What a task's status in an answer means; undefined if it is no status. */
export function taskAnswer(
  endStatuses: EndStatuses,
  word: unknown,
  event: (word: string) => EndedAnswer['event'],
): TaskAnswer | undefined {
  if (!isName(word)) return undefined
  const status = endStatuses.get(word)
  return status === undefined ? { status: 'pending', word } : { status, word, event: event(word) }
}

/** For event types that are a kind of task and a status that ends it: `batch.completed`. */
export function endsByType(
  kinds: Readonly<Record<string, ReadonlyMap<string, TaskEnding>>>,
): (event: { readonly type: string }) => TaskEnd | undefined {
  const ends = new Map(
    Object.entries(kinds).flatMap(([kind, endStatuses]) =>
      [...endStatuses].map(([word, status]): [string, TaskEnd] => [`${kind}.${word}`, { status, word }]),
    ),
  )
  return ({ type }) => ends.get(type)
}

/** A registration from the fields of an answer; undefined if one of them does not have its type. */
export function registrationOf(fields: {
  readonly id: unknown
  readonly url: unknown
  readonly events: unknown
  readonly active: unknown
}): Registration | undefined {
  const { id, url, events, active } = fields
  if (typeof id !== 'string' && typeof id !== 'number') return undefined
  if (id === '' || typeof url !== 'string' || typeof active !== 'boolean') return undefined
  if (!Array.isArray(events) || !events.every((event) => typeof event === 'string')) return undefined
  return { id: String(id), url, events, active }
}

/** The `Authorization` that most APIs ask for. */
export const bearer = (key: string | undefined): Readonly<Record<string, string>> =>
  key === undefined ? {} : { authorization: `Bearer ${key}` }
