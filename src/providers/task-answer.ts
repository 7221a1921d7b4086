import { MAX_NAME_LENGTH } from '../domain/limits.ts'
import type { ApiRequest } from '../domain/outbound.ts'
import type { TaskAnswer } from '../domain/provider.ts'
import type { TaskEnd, TaskEnding } from '../domain/task.ts'

type Ended = Extract<TaskAnswer, { event: unknown }>

/** An API's own words for the ends of its tasks. Any other word means that a task goes on. */
export type Words = ReadonlyMap<string, Ended['status']>

/** A task by its id; undefined where the id would lead elsewhere in the API, or is no text that a URL can carry. */
export const askFor = (path: string, taskId: string): ApiRequest | undefined =>
  /^\.{0,2}$/.test(taskId) || !taskId.isWellFormed()
    ? undefined
    : { method: 'GET', path: `${path}/${encodeURIComponent(taskId)}` }

/** Control characters and halves of characters. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u

/** Whether it is a status that can be kept and shown. */
export const isWord = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH && !UNPRINTABLE.test(value)

/** What a status says of a task; undefined if it is none. */
export function answerBy(words: Words, word: unknown, event: (word: string) => Ended['event']): TaskAnswer | undefined {
  if (!isWord(word)) return undefined
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
