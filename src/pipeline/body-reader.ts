import { fingerprintOf } from '../domain/checksum.ts'
import { parseJson } from '../domain/json.ts'
import { isTaskId } from '../domain/names.ts'
import type { Provider } from '../domain/provider.ts'
import { EXPIRED_TYPE } from '../domain/task.ts'
import { type AnswerFunction, directReaders, type ProviderReaders, UnreadError } from './provider-readers.ts'
import type { ReadContext, ReadResult } from './read-event.ts'
import { type PolledTask, type PollReading, readStored } from './read-poll-answer.ts'
import { type Route, type RouteResult, routeReading, type SourceProfile } from './routes.ts'

/** An event as it was read, and where it goes. */
export interface RoutedEvent {
  readonly reading: ReadResult
  readonly routing: RouteResult
}

/** What the answer to a poll says of its task, and where the event goes that ends it. */
export type RoutedAnswer =
  | Exclude<PollReading, { kind: 'ended' }>
  | (Extract<PollReading, { kind: 'ended' }> & { readonly routing: RouteResult })

/** What a function of a provider's API gave. */
export type ApiReading =
  | { readonly kind: 'read'; readonly value: unknown }
  /** The body is no JSON. */
  | { readonly kind: 'unreadable' }
  /** The function has thrown, or could not be run. */
  | { readonly kind: 'nothing' }

/** From bytes that came to what they mean. */
export interface BodyReader {
  /**
   * As `readStored` and `routeReading`. Of a long body the fields' `data` is not given, and of its payload the names alone.
   * Rejects with `unavailable` where it cannot be read, or nobody can tell where it goes, now.
   */
  event(source: SourceProfile, context: ReadContext, body: Buffer): Promise<RoutedEvent>
  /**
   * Parses the answer to a poll, has the provider's module read it, and routes the event that ends the task: each once. Of a
   * long answer the event's `data` is not given, and of its payload the names alone. Rejects with `unavailable` where the task
   * has ended and the handlers are not known now.
   */
  pollAnswer(source: SourceProfile, polled: PolledTask, body: Buffer): Promise<RoutedAnswer>
  /** The id that the answer to a submission gives. Never rejects. */
  taskId(provider: Provider, body: Buffer): Promise<string | undefined>
  /** What a function of the provider's API makes of an answer, or of a caller's request: any value. Never rejects. */
  apiWithBody(provider: Provider, name: AnswerFunction, body: Buffer, args?: readonly unknown[]): Promise<ApiReading>
  /** As `fingerprintOf` of `beside` with the JSON of the body as its `submit`; undefined: it is no JSON, or was not read. Never rejects. */
  fingerprint(provider: Provider, beside: object, body: Buffer): Promise<string | undefined>
}

/** How a webhook is read: nothing is known of it but what came. */
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

/** Parses and routes in the thread that asks. */
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

/** Parses in the thread that asks, or where `readers` runs the code of a user's own. */
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
