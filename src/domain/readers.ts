import type { Headers } from './event.ts'
import { parseJson } from './json.ts'
import type { Provider, TaskAnswer } from './provider.ts'
import { type Asked, type Reading, readAnswer, readEvent, readStored, type StoredForm } from './read-event.ts'

/** Why code of a user's own has not read something, in a sentence of our own. */
export class Unread extends Error {
  override readonly name = 'Unread'
}

type Maybe<Result> = Result | Promise<Result>

/**
 * Who reads by a provider's map or code. What Holdfast ships, and maps, are read at once; code of a user's own is run apart, in
 * bounded time, and rejects with `unavailable` where that cannot be done now.
 */
export interface Readers {
  event(provider: Provider, headers: Headers, body: Buffer, receivedAtMs: number): Maybe<Reading>
  stored(provider: Provider, event: StoredForm, body: Uint8Array): Maybe<Reading>
  answer(provider: Provider, asked: Asked, body: Uint8Array): Maybe<Reading>
  /**
   * What a 2xx answer says of a task. Throws or rejects where it cannot be read; anything may come back. `parsed`: the body as
   * JSON, where the caller has it.
   */
  task(provider: Provider, body: Uint8Array, taskId: string, parsed?: unknown): Maybe<TaskAnswer | undefined>
  /** Calls what else its API has for tasks. Throws or rejects where that does; anything may come back. */
  tasks(provider: Provider, name: TaskFunction, ...args: readonly unknown[]): Maybe<unknown>
}

export type TaskFunction = 'poll' | 'submit.request' | 'submit.taskId'

export const readHere: Readers = {
  event: readEvent,
  stored: readStored,
  answer: readAnswer,
  task: readTask,
  tasks: callTasks,
}

function readTask(provider: Provider, body: Uint8Array, taskId: string, parsed?: unknown): TaskAnswer | undefined {
  const known = parsed === undefined ? parseJson(body) : { ok: true, value: parsed }
  return 'value' in known ? provider.api?.tasks?.read(known.value, taskId) : undefined
}

function callTasks(provider: Provider, name: TaskFunction, ...args: readonly unknown[]): unknown {
  const api = provider.api?.tasks
  const [owner, call] =
    name === 'poll'
      ? [api, api?.poll]
      : [api?.submit, name === 'submit.request' ? api?.submit?.request : api?.submit?.taskId]
  return call === undefined ? undefined : Reflect.apply(call, owner, args)
}

/** Whether a module has code that reads, and does not only say where things stand. */
export const readsByCode = ({ event, mismatch, ends, api }: Provider): boolean =>
  typeof event === 'function' || [mismatch, ends, api?.tasks].some((part) => part !== undefined)
