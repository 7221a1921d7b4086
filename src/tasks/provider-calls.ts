import type { Headers } from '../domain/event.ts'
import type { CallFailure, CallProvider, CallResult, ReadyRequest } from '../domain/outbound.ts'
import type { Provider, TaskApi } from '../domain/provider.ts'
import { retryAfterOf } from '../domain/retry-after.ts'
import type { ConnectedSource } from '../domain/source.ts'
import type { PollOutcome } from '../domain/telemetry.ts'
import type { BodyReader } from '../pipeline/body-reader.ts'
import { pollEventId, type TerminalAnswer } from '../pipeline/poll-answers.ts'
import { directReaders, type ProviderReaders } from '../pipeline/provider-readers.ts'

/** The longest pause that a provider can ask for with `Retry-After`; a longer one is shortened. */
export const MAX_PROVIDER_PAUSE_MS = 3_600_000

/** A call with no usable answer: the answer is not 2xx or is not valid, or there is none. */
export interface CallError {
  readonly outcome: Exclude<PollOutcome, 'terminal' | 'truncated' | 'pending' | 'late'>
  /** One sentence in Holdfast's words. */
  readonly error: string
  /** Calls for the provider's other tasks would fail too. */
  readonly isProviderWide: boolean
  /** How long the provider asks not to be called. */
  readonly retryAfterMs?: number
}

/** The result of one poll of a task. */
export type PollResult =
  | { readonly outcome: 'terminal'; readonly answer: TerminalAnswer }
  | { readonly outcome: 'pending'; readonly providerStatus: string }
  | CallError

interface PollOptions {
  readonly source: ConnectedSource
  readonly task: { readonly uid: string; readonly id: string }
  readonly call: CallProvider
  readonly readers?: Pick<ProviderReaders, 'api'>
  readonly reader: Pick<BodyReader, 'pollAnswer'>
  readonly nowMs: () => number
  readonly signal?: AbortSignal
  /** The answer counts against the memory for answers until this is disposed. */
  readonly hold?: DisposableStack
}

/** The API by which the provider can be called for tasks; undefined if it cannot. */
export function callableApi({
  provider,
  call,
}: ConnectedSource): { readonly api: TaskApi; readonly provider: Provider; readonly call: CallProvider } | undefined {
  const api = provider.api?.tasks
  return api === undefined || call === undefined ? undefined : { api, provider, call }
}

/** Why the provider cannot be called for tasks. Only for a source for which `callableApi` gives nothing. */
export const whyNotCallable = ({ name, provider }: ConnectedSource): string =>
  provider.api?.tasks === undefined
    ? `provider ${provider.name} has no API for tasks`
    : `the API of source ${name} is not configured`

/** Polls one task. Rejects only with `unavailable`: the task has ended, but its event cannot be routed now. */
export async function pollTask(options: PollOptions): Promise<PollResult> {
  const { source, task, reader, readers, call, nowMs, signal, hold } = options
  const { provider, redact } = source
  const request = await pollRequest({ provider, taskId: task.id, ...(readers !== undefined && { readers }) })
  if (request === undefined) return invalid('the provider cannot have a task with this id', false)
  const result = await call(request, signal, { outline: true, ...(hold !== undefined && { hold }) })
  if (!isSuccess(result)) return callErrorOf(result, nowMs())
  const { headers, body, truncated } = result
  const receivedAtMs = nowMs()
  const polled = { id: pollEventId(task.uid), task: task.id, receivedAtMs }
  const reading = await reader.pollAnswer(source, polled, body)
  if (reading.kind === 'unreadable') return invalid('the answer is no JSON', true)
  if (reading.kind === 'nothing' || redact(reading.providerStatus) !== reading.providerStatus) {
    const reason = reading.kind === 'nothing' ? reading.reason : undefined
    if (truncated !== undefined) return tooLarge(truncated)
    return invalid(reason ?? 'the answer says nothing about this task', false)
  }
  if (reading.kind === 'pending') return { outcome: 'pending', providerStatus: reading.providerStatus }
  const event = { reading: reading.reading, routing: reading.routing }
  const answer = { headers, body, receivedAtMs, ...event, ...(truncated !== undefined && { truncated }) }
  return { outcome: 'terminal', answer }
}

const tooLarge = ({ limitBytes }: { readonly limitBytes: number }): CallError => ({
  outcome: 'too_large',
  error: `the answer is longer than ${limitBytes} bytes, and its outline says nothing about this task`,
  isProviderWide: false,
})

const invalid = (error: string, isProviderWide: boolean): CallError => ({ outcome: 'invalid', error, isProviderWide })

/** The request that polls a task; undefined if the provider's module makes none. */
export async function pollRequest({
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

export const isSuccess = (result: CallResult): result is Extract<CallResult, { ok: true }> =>
  result.ok && result.status >= 200 && result.status < 300

export function callErrorOf(
  result: Exclude<CallResult, { ok: true }> | { status: number; headers: Headers },
  nowMs: number,
): CallError {
  if (!('status' in result))
    return { outcome: result.failure, error: result.message, isProviderWide: !OF_ONE_TASK.has(result.failure) }
  const { status, headers } = result
  const retryAfterMs = retryAfterOf(headers, nowMs, MAX_PROVIDER_PAUSE_MS)
  return {
    outcome: outcomeOf(status),
    error: `the provider answered ${status}`,
    // A refusal (4xx) may concern this task alone. A redirect, which is not followed, concerns all tasks.
    isProviderWide: status < 400 || status >= 500 || OF_ALL_TASKS.has(status),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
}

/** The provider, or a proxy before it, refuses the key, is too slow or too busy. */
const OF_ALL_TASKS: ReadonlySet<number> = new Set([401, 407, 408, 425, 429])

/** Holdfast refused the path before it sent anything, or this one answer is too long. */
const OF_ONE_TASK: ReadonlySet<CallFailure> = new Set(['forbidden_address', 'too_large'])

function outcomeOf(status: number): CallError['outcome'] {
  if (status === 404 || status === 410) return 'not_found'
  if (status === 429) return 'rate_limited'
  if (status === 401 || status === 403) return 'unauthorized'
  return status >= 500 ? 'server_error' : 'invalid'
}
