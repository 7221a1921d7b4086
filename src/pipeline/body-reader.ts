import { fingerprintOf } from '../domain/checksum.ts'
import { parseJson } from '../domain/json.ts'
import { isTaskId } from '../domain/names.ts'
import type { Provider } from '../domain/provider.ts'
import { EXPIRED_TYPE } from '../domain/task.ts'
import { type AnswerFunction, directReaders, type ProviderReaders, UnreadError } from './provider-readers.ts'
import type { ReadContext, ReadResult } from './read-event.ts'
import { type PolledTask, type PollReading, readStored } from './read-poll-answer.ts'
import { type Route, type RouteResult, routeReading, type SourceProfile } from './routes.ts'

/** The event that was read from a body, and its routing. */
export interface RoutedEvent {
  readonly reading: ReadResult
  readonly routing: RouteResult
}

/** What the answer to a poll says about its task. If the task has ended, also the routing of the event that ends it. */
export type RoutedAnswer =
  | Exclude<PollReading, { kind: 'ended' }>
  | (Extract<PollReading, { kind: 'ended' }> & { readonly routing: RouteResult })

/** The result of a function of a provider module's `api`. */
export type ApiReading =
  | { readonly kind: 'read'; readonly value: unknown }
  /** The body is not JSON. */
  | { readonly kind: 'unreadable' }
  /** The function threw, or could not be run. */
  | { readonly kind: 'nothing' }

/** Parses bodies, has the provider's module read them, and routes the events. */
export interface BodyReader {
  /**
   * As `readStored` and `routeReading`. For a long body the result has no `data`, and the payload has only its names.
   * Rejects with `unavailable` if the body cannot be read now, or the handlers are not known now.
   */
  event(source: SourceProfile, context: ReadContext, body: Buffer): Promise<RoutedEvent>
  /**
   * Parses the answer to a poll, has the provider's module read it, and routes the event that ends the task; each of these once. For a
   * long answer the event has no `data`, and its payload has only its names. Rejects with `unavailable` if the task has ended and
   * the handlers are not known now.
   */
  pollAnswer(source: SourceProfile, polled: PolledTask, body: Buffer): Promise<RoutedAnswer>
  /** Gives the task id that the answer to a submission names. Never rejects. */
  taskId(provider: Provider, body: Buffer): Promise<string | undefined>
  /** Calls a function of the provider module's `api` with an answer, or with a caller's request. The result may be any value. Never rejects. */
  apiWithBody(provider: Provider, name: AnswerFunction, body: Buffer, args?: readonly unknown[]): Promise<ApiReading>
  /**
   * Gives `fingerprintOf` of `beside` together with the JSON of the body as `submit`. Undefined: the body is not JSON, or could not
   * be read. Never rejects.
   */
  fingerprint(provider: Provider, beside: object, body: Buffer): Promise<string | undefined>
}

/** The context of a new webhook: only the request is known. */
export const webhookContext = ({
  headers,
  receivedAtMs,
}: Pick<ReadContext, 'headers' | 'receivedAtMs'>): ReadContext => ({
  id: '',
  type: '',
  origin: 'webhook',
  headers,
  receivedAtMs,
})

/** Parses and routes in the calling thread. `readers` may run a user's code in a thread of its own. */
export const createInlineReader = (route: Route, readers: ProviderReaders = directReaders): BodyReader => ({
  async event(source, context, body) {
    const read = readEventBody(readers, source.provider, context, body)
    const reading = read instanceof Promise ? await read : read
    return { reading, routing: routeReading(route, source, reading, context.origin) }
  },

  async pollAnswer(source, polled, body) {
    let answer: PollReading
    try {
      answer = await readers.pollAnswer(source.provider, polled, body)
    } catch (error) {
      return { kind: 'nothing', ...(error instanceof UnreadError && { reason: error.message }) }
    }
    if (answer.kind !== 'ended') return answer
    return { ...answer, routing: routeReading(route, source, answer.reading, 'poll') }
  },

  async taskId(provider, body) {
    const answer = await apiWithBodyHere(readers, provider, 'tasks.submit.taskId', body)
    const given = answer.kind === 'read' ? answer.value : undefined
    const id = Number.isSafeInteger(given) ? String(given) : given
    return isTaskId(id) ? id : undefined
  },

  async fingerprint(_provider, beside, body) {
    const parsed = parseJson(body)
    return parsed.ok ? fingerprintOf({ ...beside, submit: parsed.value }) : undefined
  },

  ...inlineApiReader(readers),
})

/** Parses in the calling thread, or where `readers` runs a user's code. */
export const inlineApiReader = (readers: Pick<ProviderReaders, 'apiWithBody'>): Pick<BodyReader, 'apiWithBody'> => ({
  apiWithBody: (provider, name, body, args) => apiWithBodyHere(readers, provider, name, body, args),
})

async function apiWithBodyHere(
  readers: Pick<ProviderReaders, 'apiWithBody'>,
  provider: Provider,
  name: AnswerFunction,
  body: Buffer,
  args?: readonly unknown[],
): Promise<ApiReading> {
  try {
    return await readers.apiWithBody(provider, name, body, args)
  } catch {
    return { kind: 'nothing' }
  }
}

function readEventBody(readers: ProviderReaders, provider: Provider, context: ReadContext, body: Buffer) {
  const { id, type, origin, headers, receivedAtMs } = context
  // Holdfast itself makes the body of an expiry: it needs no module.
  if (origin === 'poll' && type === EXPIRED_TYPE) return readStored(provider, context, body)
  return id === '' ? readers.event(provider, headers, body, receivedAtMs) : readers.stored(provider, context, body)
}
