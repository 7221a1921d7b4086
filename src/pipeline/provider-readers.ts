import type { Headers } from '../domain/event.ts'
import { parseJson } from '../domain/json.ts'
import type { Provider, RegistrationApi } from '../domain/provider.ts'
import type { ApiReading } from './body-reader.ts'
import { plainResult } from './module-results.ts'
import { type ReadContext, type ReadResult, readEvent } from './read-event.ts'
import { type PolledTask, type PollReading, readPollAnswer, readStored } from './read-poll-answer.ts'

/**
 * Why code of a user's own has not read something, or made a request, in a sentence of our own. `cause`: a text, what it said
 * itself where it read nothing that came.
 */
export class UnreadError extends Error {
  override readonly name = 'UnreadError'
}

type Maybe<Result> = Result | Promise<Result>

/**
 * Who reads by a provider's map or code. What Holdfast ships, and maps, are read at once; code of a user's own is run apart, in
 * bounded time, and rejects with `unavailable` where that cannot be done now.
 */
export interface ProviderReaders {
  event(provider: Provider, headers: Headers, body: Buffer, receivedAtMs: number): Maybe<ReadResult>
  stored(provider: Provider, event: ReadContext, body: Uint8Array): Maybe<ReadResult>
  /** The answer to a poll. Throws or rejects where the module cannot read it. */
  pollAnswer(provider: Provider, polled: PolledTask, body: Uint8Array): Maybe<PollReading>
  /**
   * What a function of its API makes of a 2xx answer, the JSON of which it is given before `args`, as `plainResult` has it; of a
   * caller's request, the JSON of which it is given in the first of `args`. Throws or rejects where the module does.
   */
  apiWithBody(
    provider: Provider,
    name: AnswerFunction,
    body: Uint8Array,
    args?: readonly unknown[],
  ): Maybe<Exclude<ApiReading, { kind: 'nothing' }>>
  /** Calls what else its API has. Throws or rejects where that does; anything may come back. */
  api(provider: Provider, name: ApiFunction, ...args: readonly unknown[]): Maybe<unknown>
}

type RegistrationReader = 'readList' | 'read' | 'secret'
type RegistrationFunction = Exclude<keyof RegistrationApi, RegistrationReader | 'events'>

/** Functions of a module's `api`, by where they stand in it. */
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

/** Whether a module has code that reads, and does not only say where things stand. */
export const runsCode = ({ event, mismatch, ends, api }: Provider): boolean =>
  typeof event === 'function' ||
  [mismatch, ends, api?.headers, api?.tasks, api?.registrations].some((part) => part !== undefined)
