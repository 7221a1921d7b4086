import { parseJson } from '../domain/json.ts'
import { isName } from '../domain/name.ts'
import type { ApiRequest, CallProvider, CallResult } from '../domain/outbound.ts'
import type { Provider, TaskAnswer } from '../domain/provider.ts'
import { type Readers, readHere, Unread } from '../domain/readers.ts'
import type { Answer } from '../domain/recover.ts'
import { EXPIRED_TYPE } from '../domain/task.ts'
import { type Trouble, troubleOf } from './answers.ts'

/** What one question to a provider came to. */
export type Asked =
  | { readonly outcome: 'terminal'; readonly answer: Answer }
  | { readonly outcome: 'pending'; readonly word: string }
  | Trouble

export interface Question {
  readonly provider: Provider
  readonly readers?: Pick<Readers, 'task' | 'tasks'>
  readonly call: CallProvider
  readonly taskId: string
  /** Takes keys and secrets out of a text. */
  readonly redact: (text: string) => string
  readonly nowMs: () => number
  readonly signal?: AbortSignal
  /** How long the answer's room in memory is needed. */
  readonly hold?: DisposableStack
}

/** Asks a provider for one task. Never rejects. */
export async function ask(question: Question): Promise<Asked> {
  const { call, redact, nowMs, signal, hold } = question
  const request = await questionOf(question)
  if (request === undefined) return invalid('the provider has no task of such an id', false)
  const result = await call(request, signal, { outline: true, ...(hold !== undefined && { hold }) })
  if (!isSuccess(result)) return troubleOf(result, nowMs())
  const { headers, body, truncated } = result
  const parsed = parseJson(body)
  if (!parsed.ok) return invalid('the answer is no JSON', true)
  const read = await readSafely(question, body, parsed.value)
  if (read instanceof Unread) return invalid(read.message, false)
  if (read === undefined || redact(read.word) !== read.word)
    return truncated === undefined ? invalid('the answer says nothing of this task', false) : tooLarge(truncated)
  if (read.status === 'pending') return { outcome: 'pending', word: read.word }
  return { outcome: 'terminal', answer: { headers, body, ...(truncated !== undefined && { truncated }) } }
}

const tooLarge = ({ limitBytes }: { readonly limitBytes: number }): Trouble => ({
  outcome: 'too_large',
  error: `the answer is longer than ${limitBytes} bytes, and its outline says nothing of this task`,
  isProviders: false,
})

const invalid = (error: string, isProviders: boolean): Trouble => ({ outcome: 'invalid', error, isProviders })

export const isSuccess = (result: CallResult): result is Extract<CallResult, { ok: true }> =>
  result.ok && result.status >= 200 && result.status < 300

/** How the provider is asked for a task; undefined where its module knows of no way. */
export async function questionOf({
  provider,
  readers = readHere,
  taskId,
}: Pick<Question, 'provider' | 'taskId'> & { readonly readers?: Pick<Readers, 'tasks'> }): Promise<
  ApiRequest | undefined
> {
  try {
    return (await readers.tasks(provider, 'poll', taskId)) as ApiRequest | undefined
  } catch {
    return undefined
  }
}

const ENDINGS: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled'])

/** A module of a user's own may say anything. */
async function readSafely(
  { provider, readers = readHere, taskId }: Question,
  body: Uint8Array,
  parsed: unknown,
): Promise<TaskAnswer | Unread | undefined> {
  try {
    const answer = await readers.task(provider, body, taskId, parsed)
    if (answer === undefined || !isName(answer.word)) return undefined
    if (answer.status === 'pending') return answer
    const { type } = answer.event
    // `task.expired` is Holdfast's own.
    return ENDINGS.has(answer.status) && isName(type) && type !== EXPIRED_TYPE ? answer : undefined
  } catch (error) {
    return error instanceof Unread ? error : undefined
  }
}
