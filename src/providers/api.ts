import { isName, isTaskId } from '../domain/names.ts'
import type { ApiRequest } from '../domain/outbound.ts'
import type { Registration, TaskAnswer } from '../domain/provider.ts'
import type { TaskEnd, TaskEnding } from '../domain/task.ts'

/** What the APIs of several providers have in common. */

type EndedAnswer = Extract<TaskAnswer, { event: unknown }>

/** The API's statuses that end a task → how they end it. A task with any other status goes on. */
export type EndStatuses = ReadonlyMap<string, EndedAnswer['status']>

/** The request that gets a task by its id; undefined if the id is not valid (`isTaskId`), since it could change the URL's path. */
export const getTask = (path: string, taskId: string): ApiRequest | undefined =>
  isTaskId(taskId) ? { method: 'GET', path: `${path}/${encodeURIComponent(taskId)}` } : undefined

/** What an answer with this status says about its task; undefined if `word` is no status. */
export function taskAnswer(
  endStatuses: EndStatuses,
  word: unknown,
  event: (word: string) => EndedAnswer['event'],
): TaskAnswer | undefined {
  if (!isName(word)) return undefined
  const status = endStatuses.get(word)
  return status === undefined ? { status: 'pending', word } : { status, word, event: event(word) }
}

/** For providers whose event types are composed of a kind of task and a status, such as `batch.completed`. */
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

/** The `Authorization` header that most APIs expect. */
export const bearer = (key: string | undefined): Readonly<Record<string, string>> =>
  key === undefined ? {} : { authorization: `Bearer ${key}` }
