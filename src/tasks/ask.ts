import type { CallProvider, CallResult, ReadyRequest } from '../domain/outbound.ts'
import type { Provider } from '../domain/provider.ts'
import type { ConnectedSource } from '../domain/source.ts'
import type { BodyReader } from '../pipeline/body-reader.ts'
import { pollEventId, type TerminalAnswer } from '../pipeline/poll-answers.ts'
import { directReaders, type ProviderReaders } from '../pipeline/provider-readers.ts'
import { type Trouble, troubleOf } from './answers.ts'

/** What one question to a provider came to. */
export type Asked =
  | { readonly outcome: 'terminal'; readonly answer: TerminalAnswer }
  | { readonly outcome: 'pending'; readonly providerStatus: string }
  | Trouble

export interface Question {
  readonly source: ConnectedSource
  readonly task: { readonly uid: string; readonly id: string }
  readonly call: CallProvider
  readonly readers?: Pick<ProviderReaders, 'api'>
  readonly reader: Pick<BodyReader, 'pollAnswer'>
  readonly nowMs: () => number
  readonly signal?: AbortSignal
  /** How long the answer's room in memory is needed. */
  readonly hold?: DisposableStack
}

/** Asks a provider for one task. Never rejects. */
export async function ask(question: Question): Promise<Asked> {
  const { source, task, reader, readers, call, nowMs, signal, hold } = question
  const { provider, redact } = source
  const request = await questionOf({ provider, taskId: task.id, ...(readers !== undefined && { readers }) })
  if (request === undefined) return invalid('the provider has no task of such an id', false)
  const result = await call(request, signal, { outline: true, ...(hold !== undefined && { hold }) })
  if (!isSuccess(result)) return troubleOf(result, nowMs())
  const { headers, body, truncated } = result
  const receivedAtMs = nowMs()
  const polled = { id: pollEventId(task.uid), task: task.id, receivedAtMs }
  const said = await reader.pollAnswer(source, polled, body)
  if (said.kind === 'unreadable') return invalid('the answer is no JSON', true)
  if (said.kind === 'nothing' || redact(said.providerStatus) !== said.providerStatus) {
    const reason = said.kind === 'nothing' ? said.reason : undefined
    if (truncated !== undefined) return tooLarge(truncated)
    return invalid(reason ?? 'the answer says nothing of this task', false)
  }
  if (said.kind === 'pending') return { outcome: 'pending', providerStatus: said.providerStatus }
  const { reading, routing } = said
  const answer = { headers, body, receivedAtMs, reading, routing, ...(truncated !== undefined && { truncated }) }
  return { outcome: 'terminal', answer }
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
}: {
  readonly provider: Provider
  readonly taskId: string
  readonly readers?: Pick<ProviderReaders, 'api'>
}): Promise<ReadyRequest | undefined> {
  try {
    return ((await readers.api(provider, 'tasks.poll', taskId)) ?? undefined) as ReadyRequest | undefined
  } catch {
    return undefined
  }
}
