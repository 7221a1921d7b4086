import type { Headers } from '../domain/event.ts'
import { parseJson } from '../domain/json.ts'
import type { Provider, RegistrationApi } from '../domain/provider.ts'
import type { ApiReading } from './body-reader.ts'
import { plainResult } from './module-results.ts'
import { type ReadContext, type ReadResult, readEvent } from './read-event.ts'
import { type PolledTask, type PollReading, readPollAnswer, readStored } from './read-poll-answer.ts'

/**
 * A user's code failed to read something or to make a request. The message is Holdfast's. `cause`: the message of the code's own
 * error, as a string. Absent if the code was given a body, because the message may repeat parts of it.
 */
export class UnreadError extends Error {
  override readonly name = 'UnreadError'
}

type Maybe<Result> = Result | Promise<Result>

/**
 * Reads by a provider's map or code. Shipped modules, and maps, are read in the calling thread; a user's code runs in a thread of
 * its own, in bounded time, and these methods reject with `unavailable` if it cannot run now.
 */
export interface ProviderReaders {
  event(provider: Provider, headers: Headers, body: Buffer, receivedAtMs: number): Maybe<ReadResult>
  stored(provider: Provider, event: ReadContext, body: Uint8Array): Maybe<ReadResult>
  /** Reads the answer to a poll. Throws or rejects if the module cannot read it. */
  pollAnswer(provider: Provider, polled: PolledTask, body: Uint8Array): Maybe<PollReading>
  /**
   * Calls a function of the module's `api` with the JSON of a 2xx answer, followed by `args`. `tasks.submit.request` gets the JSON of
   * a caller's request instead, inside the first of `args`. Gives `plainResult` of its result. Throws or rejects if the module throws.
   */
  apiWithBody(
    provider: Provider,
    name: AnswerFunction,
    body: Uint8Array,
    args?: readonly unknown[],
  ): Maybe<Exclude<ApiReading, { kind: 'nothing' }>>
  /** Calls one of the other functions of the module's `api`. Throws or rejects if it throws; the result may be any value. */
  api(provider: Provider, name: ApiFunction, ...args: readonly unknown[]): Maybe<unknown>
}

type RegistrationReader = 'readList' | 'read' | 'secret'
type RegistrationFunction = Exclude<keyof RegistrationApi, RegistrationReader | 'events'>

/** Functions of a module's `api`, by their path in it. */
export type AnswerFunction = `tasks.submit.${'request' | 'taskId'}` | `registrations.${RegistrationReader}`
export type ApiFunction = 'headers' | 'tasks.poll' | `registrations.${RegistrationFunction}`

export const directReaders: ProviderReaders = {
  event: readEvent,
  stored: readStored,
  pollAnswer: readPollAnswer,
  apiWithBody,
  api: callApi,
}

function apiWithBody(
  provider: Provider,
  name: AnswerFunction,
  body: Uint8Array,
  args: readonly unknown[] = [],
): ReturnType<ProviderReaders['apiWithBody']> {
  const parsed = parseJson(body)
  if (!parsed.ok) return { kind: 'unreadable' }
  const isRequest = name === 'tasks.submit.request'
  const given = isRequest ? [{ ...(args[0] as object), request: parsed.value }] : [parsed.value, ...args]
  return { kind: 'read', value: callApi(provider, name, ...given) }
}

function callApi({ api }: Provider, name: ApiFunction | AnswerFunction, ...args: readonly unknown[]): unknown {
  let owner: unknown
  let found: unknown = api
  for (const key of name.split('.')) {
    owner = found
    found = (owner as Record<string, unknown> | undefined)?.[key]
  }
  return found === undefined ? undefined : plainResult(name, Reflect.apply(found as () => unknown, owner, args))
}

/** Whether a module has code, and not only maps that say where each field is. */
export const runsCode = ({ event, mismatch, ends, api }: Provider): boolean =>
  typeof event === 'function' ||
  [mismatch, ends, api?.headers, api?.tasks, api?.registrations].some((part) => part !== undefined)
