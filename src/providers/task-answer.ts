import { isName, isTaskId } from '../domain/names.ts'
import type { ApiRequest } from '../domain/outbound.ts'
import type { TaskAnswer } from '../domain/provider.ts'
import type { TaskEnd, TaskEnding } from '../domain/task.ts'

type Ended = Extract<TaskAnswer, { event: unknown }>

/** An API's own words for the ends of its tasks. Any other word means that a task goes on. */
export type Words = ReadonlyMap<string, Ended['status']>

/** A task by its id; undefined where the id would lead elsewhere in the API, or is no text that a URL can carry. */
export const askFor = (path: string, taskId: string): ApiRequest | undefined =>
  isTaskId(taskId) ? { method: 'GET', path: `${path}/${encodeURIComponent(taskId)}` } : undefined

/** What a status says of a task; undefined if it is none. */
export function answerBy(words: Words, word: unknown, event: (word: string) => Ended['event']): TaskAnswer | undefined {
  if (!isName(word)) return undefined
  const status = words.get(word)
  return status === undefined ? { status: 'pending', word } : { status, word, event: event(word) }
}

/** Reads the ends off event types that are a kind and a terminal word: `batch.completed`. */
export function endsByType(
  kinds: Readonly<Record<string, ReadonlyMap<string, TaskEnding>>>,
): (event: { readonly type: string }) => TaskEnd | undefined {
  const ends = new Map(
    Object.entries(kinds).flatMap(([kind, words]) =>
      [...words].map(([word, status]): [string, TaskEnd] => [`${kind}.${word}`, { status, word }]),
    ),
  )
  return ({ type }) => ends.get(type)
}
