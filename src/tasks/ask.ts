import type { CallProvider, CallResult, ReadyRequest } from '../domain/outbound.ts'
import type { Provider } from '../domain/provider.ts'
import type { Answer } from '../domain/recover.ts'
import type { BodyReader } from '../pipeline/body-reader.ts'
import { directReaders, type ProviderReaders } from '../pipeline/provider-readers.ts'
import { type Trouble, troubleOf } from './answers.ts'

/** What one question to a provider came to. */
export type Asked =
  | { readonly outcome: 'terminal'; readonly answer: Answer }
  | { readonly outcome: 'pending'; readonly word: string }
  | Trouble

export interface Question {
  readonly provider: Provider
  readonly readers?: Pick<ProviderReaders, 'api'>
  readonly reader: Pick<BodyReader, 'task'>
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
  const { provider, reader, call, taskId, redact, nowMs, signal, hold } = question
  const request = await questionOf(question)
  if (request === undefined) return invalid('the provider has no task of such an id', false)
  const result = await call(request, signal, { outline: true, ...(hold !== undefined && { hold }) })
  if (!isSuccess(result)) return troubleOf(result, nowMs())
  const { headers, body, truncated } = result
  const said = await reader.task(provider, taskId, body)
  if (said.kind === 'unreadable') return invalid('the answer is no JSON', true)
  if (said.kind === 'nothing' || redact(said.word) !== said.word) {
    const reason = said.kind === 'nothing' ? said.reason : undefined
    if (truncated !== undefined) return tooLarge(truncated)
    return invalid(reason ?? 'the answer says nothing of this task', false)
  }
  if (said.kind === 'pending') return { outcome: 'pending', word: said.word }
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
  readers = directReaders,
  taskId,
}: Pick<Question, 'provider' | 'taskId'> & { readonly readers?: Pick<ProviderReaders, 'api'> }): Promise<
  ReadyRequest | undefined
> {
  try {
    return ((await readers.api(provider, 'tasks.poll', taskId)) ?? undefined) as ReadyRequest | undefined
  } catch {
    return undefined
  }
}
