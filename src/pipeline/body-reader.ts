import { fingerprintOf } from '../domain/checksum.ts'
import { parseJson } from '../domain/json.ts'
import { isName, isTaskId } from '../domain/names.ts'
import type { Provider, TaskAnswer } from '../domain/provider.ts'
import { EXPIRED_TYPE } from '../domain/task.ts'
import { type AnswerFunction, directReaders, type ProviderReaders, UnreadError } from './provider-readers.ts'
import { type Reading, readStored, type StoredForm } from './read-event.ts'
import { type Route, type RoutedSource, type Routing, routeReading } from './routes.ts'

/** An event as it was read, and where it goes. */
export interface RoutedReading {
  readonly reading: Reading
  readonly routing: Routing
}

/** What an answer says of a task; `unreadable`: it is no JSON; `nothing`: nothing of this task. */
export type TaskSays =
  | { readonly kind: 'pending' | 'ended'; readonly word: string }
  | { readonly kind: 'unreadable' }
  | { readonly kind: 'nothing'; readonly reason?: string }

/** What was made of an answer; `unreadable`: it is no JSON; `nothing`: its module does not read it. */
export type AnswerSays =
  | { readonly kind: 'read'; readonly value: unknown }
  | { readonly kind: 'unreadable' }
  | { readonly kind: 'nothing' }

/** From bytes that came to what they mean. */
export interface BodyReader {
  /**
   * As `readStored` and `routeReading`. Of a long body the fields' `data` is not given, and of its payload the names alone.
   * Rejects with `unavailable` where it cannot be read, or nobody can tell where it goes, now.
   */
  event(source: RoutedSource, form: StoredForm, body: Buffer): Promise<RoutedReading>
  /** Never rejects. */
  task(provider: Provider, taskId: string, body: Buffer): Promise<TaskSays>
  /** The id that the answer to a submission gives. Never rejects. */
  submitted(provider: Provider, body: Buffer): Promise<string | undefined>
  /** What a function of the provider's API makes of an answer, or of a caller's request: anything. Never rejects. */
  answered(provider: Provider, name: AnswerFunction, body: Buffer, args?: readonly unknown[]): Promise<AnswerSays>
  /** As `fingerprintOf` of `beside` with the JSON of the body as its `submit`; undefined: it is no JSON, or was not read. Never rejects. */
  fingerprint(provider: Provider, beside: object, body: Buffer): Promise<string | undefined>
}

/** How a webhook is read: nothing is known of it but what came. */
export const webhookForm = ({ headers, receivedAtMs }: Pick<StoredForm, 'headers' | 'receivedAtMs'>): StoredForm => ({
  id: '',
  type: '',
  origin: 'webhook',
  headers,
  receivedAtMs,
})

/** Parses and routes in the thread that asks. */
export const routeHere = (route: Route, readers: ProviderReaders = directReaders): BodyReader => ({
  async event(source, form, body) {
    const read = readForm(readers, source.provider, form, body)
    const reading = read instanceof Promise ? await read : read
    return { reading, routing: routeReading(route, source, reading, form.origin) }
  },

  async task(provider, taskId, body) {
    const parsed = parseJson(body)
    if (!parsed.ok) return { kind: 'unreadable' }
    try {
      const answer = soundAnswer(await readers.answered(provider, 'tasks.read', body, [taskId], parsed.value))
      if (answer === undefined) return { kind: 'nothing' }
      return { kind: answer.status === 'pending' ? 'pending' : 'ended', word: answer.word }
    } catch (error) {
      return { kind: 'nothing', ...(error instanceof UnreadError && { reason: error.message }) }
    }
  },

  async submitted(provider, body) {
    const said = await answeredHere(readers, provider, 'tasks.submit.taskId', body)
    const given = said.kind === 'read' ? said.value : undefined
    const id = Number.isSafeInteger(given) ? String(given) : given
    return isTaskId(id) ? id : undefined
  },

  async fingerprint(_provider, beside, body) {
    const parsed = parseJson(body)
    return parsed.ok ? fingerprintOf({ ...beside, submit: parsed.value }) : undefined
  },

  ...answersHere(readers),
})

/** Reads answers in the thread that asks. */
export const answersHere = (readers: Pick<ProviderReaders, 'answered'>): Pick<BodyReader, 'answered'> => ({
  answered: (provider, name, body, args) => answeredHere(readers, provider, name, body, args),
})

async function answeredHere(
  readers: Pick<ProviderReaders, 'answered'>,
  provider: Provider,
  name: AnswerFunction,
  body: Buffer,
  args?: readonly unknown[],
): Promise<AnswerSays> {
  const parsed = parseJson(body)
  if (!parsed.ok) return { kind: 'unreadable' }
  try {
    return { kind: 'read', value: await readers.answered(provider, name, body, args, parsed.value) }
  } catch {
    return { kind: 'nothing' }
  }
}

function readForm(readers: ProviderReaders, provider: Provider, form: StoredForm, body: Buffer) {
  const { id, type, origin, task, headers, receivedAtMs } = form
  // Holdfast's own words need no module.
  if (origin === 'poll' && type === EXPIRED_TYPE) return readStored(provider, form, body)
  if (origin === 'poll' && task !== undefined) return readers.answer(provider, { id, task, receivedAtMs }, body)
  return id === '' ? readers.event(provider, headers, body, receivedAtMs) : readers.stored(provider, form, body)
}

const ENDINGS: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled'])

/** A module of a user's own may say anything. */
function soundAnswer(given: unknown): TaskAnswer | undefined {
  const answer = given as TaskAnswer | undefined
  if (answer === undefined || !isName(answer.word)) return undefined
  if (answer.status === 'pending') return answer
  const { type } = answer.event
  // `task.expired` is Holdfast's own.
  return ENDINGS.has(answer.status) && isName(type) && type !== EXPIRED_TYPE ? answer : undefined
}
