import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import { parseJson, valueAt } from '../domain/json.ts'
import { MAX_INLINE_BYTES, MAX_SHORT_ANSWER_BYTES } from '../domain/limits.ts'
import type { CallResult, ReadyRequest } from '../domain/outbound.ts'
import type { Submission, TaskApi } from '../domain/provider.ts'
import type { ConnectedSource } from '../domain/source.ts'
import type { LeasedTask, Task } from '../domain/task.ts'
import type { TaskStore } from '../domain/task-store.ts'
import type { BodyReader } from '../pipeline/body-reader.ts'
import { type CallError, callableApi, callErrorOf, isSuccess } from './provider-calls.ts'
import { submitDelayMs } from './schedule.ts'

/** Only the task's id is wanted of the answer, wherever it stands: a task must not be lost because the answer is long. */
const SHORT = { maxBytes: MAX_SHORT_ANSWER_BYTES, outline: true } as const

/** Characters of a provider's own words that are passed on. */
const MAX_REASON_LENGTH = 500

interface SubmitterOptions {
  readonly store: TaskStore
  readonly reader: Pick<BodyReader, 'taskId' | 'apiWithBody'>
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
}

/**
 * - `submitted`: the provider has it (and it may have ended already);
 * - `refused`: the provider does not want it, and the task has failed;
 * - `unknown`: it may have it, or will get it: the task goes on as `submitting`.
 */
export type SubmitResult =
  | { readonly outcome: 'submitted'; readonly task: Task }
  | { readonly outcome: 'refused'; readonly reason: string }
  | { readonly outcome: 'unknown'; readonly callError?: CallError }

/** Submits tasks to providers. The task's row is on disk before the call, and the outcome after it. */
export class Submitter {
  readonly #options: SubmitterOptions

  constructor(options: SubmitterOptions) {
    this.#options = options
  }

  /** Why tasks cannot be submitted to the provider; undefined if they can. */
  fault(source: ConnectedSource): string | undefined {
    const { provider, name } = source
    const callable = callableApi(source)
    if (provider.api?.tasks?.submit === undefined) return `provider ${provider.name} takes no tasks from here`
    if (callable === undefined) return `the API of source ${name} is not configured`
    if (callable.api.submit?.callsBack === true && source.url === undefined) return 'PUBLIC_URL is not set'
    return undefined
  }

  /** `request`: what the provider's module has made of the task's request. */
  async submit(source: ConnectedSource, task: LeasedTask, request: ReadyRequest): Promise<SubmitResult> {
    const result = await this.#send(source, task, request)
    return result === undefined ? this.#notSent(task) : this.#outcome(source, task, result)
  }

  /**
   * Submits again a task whose first submission was cut off. A provider that honours `Idempotency-Key` gets it again. Of any
   * other it is not known whether it has the task, and a second one might be paid for: the task waits for its deadline.
   */
  async again(source: ConnectedSource, task: LeasedTask, signal: AbortSignal): Promise<SubmitResult> {
    const api = callableApi(source)?.api
    if (api?.submit?.idempotent !== true && task.interrupted)
      return this.#postpone(task, 'the service ended while it was submitting it', undefined, api)
    const request = await requestOf(this.#options.reader, source, task.request ?? '{}')
    if (request === undefined || request === 'unreadable') return this.#notSent(task)
    const result = await this.#send(source, task, request, signal)
    if (result === undefined) return this.#notSent(task)
    // The caller of a new task is told that the key is refused. A task that was accepted must not fail for it.
    const isKeyRefused = result.ok && result.status === 401
    return isKeyRefused ? this.#unclear(source, task, result) : this.#outcome(source, task, result)
  }

  /** Undefined: the API is not configured. */
  async #send(
    source: ConnectedSource,
    task: LeasedTask,
    request: ReadyRequest,
    signal?: AbortSignal,
  ): Promise<CallResult | undefined> {
    const headers = { ...request.headers, 'idempotency-key': task.uid }
    return callableApi(source)?.call({ ...request, headers }, signal, SHORT)
  }

  async #outcome(source: ConnectedSource, task: LeasedTask, result: CallResult): Promise<SubmitResult> {
    const id = isSuccess(result) ? await this.#idIn(source, result.body) : undefined
    if (id !== undefined) return this.#accepted(task, id)
    return isRefusal(result) ? this.#refused(source, task, result) : this.#unclear(source, task, result)
  }

  /** An id that holds a key is not used: it would be shown to everyone. */
  async #idIn({ provider, redact }: ConnectedSource, body: Buffer): Promise<string | undefined> {
    const id = await this.#options.reader.taskId(provider, body)
    return id !== undefined && redact(id) === id ? id : undefined
  }

  async #accepted(task: LeasedTask, id: string): Promise<SubmitResult> {
    const { store, log } = this.#options
    const stored = await store.submitted(task.uid, task.lease, { id })
    if (stored === undefined) return { outcome: 'unknown' }
    log.info({ source: task.source, task: id, uid: task.uid }, 'task submitted')
    return stored.status === 'failed' && stored.id === null
      ? { outcome: 'refused', reason: stored.lastError ?? '' }
      : { outcome: 'submitted', task: stored }
  }

  async #refused(source: ConnectedSource, task: LeasedTask, { status, body }: AnsweredCall): Promise<SubmitResult> {
    const { store, log } = this.#options
    const brief = `the provider answered ${status}`
    await store.submitted(task.uid, task.lease, { refused: brief })
    log.warn({ source: task.source, uid: task.uid, error: brief }, 'task refused by its provider')
    const said = wordsIn(body)
    if (said === undefined) return { outcome: 'refused', reason: brief }
    // Shortened last: half a key is a secret too.
    return { outcome: 'refused', reason: `${brief}: ${source.redact(said).slice(0, MAX_REASON_LENGTH)}` }
  }

  async #unclear(source: ConnectedSource, task: LeasedTask, result: CallResult): Promise<SubmitResult> {
    const api = callableApi(source)?.api
    if (isSuccess(result)) return this.#postpone(task, 'the provider answered, but gave no id for it', undefined, api)
    const callError = callErrorOf(result, this.#options.clock())
    const { error, outcome, retryAfterMs } = callError
    const isUnsent = ['unreachable', 'forbidden_address', 'rate_limited', 'unauthorized'].includes(outcome)
    await this.#postpone(task, error, retryAfterMs, isUnsent ? undefined : api)
    return { outcome: 'unknown', callError }
  }

  #notSent = (task: LeasedTask): Promise<SubmitResult> =>
    this.#postpone(task, 'the source is not configured for it', undefined)

  /** `api`: given where the provider may have the task. */
  async #postpone(
    task: LeasedTask,
    error: string,
    retryAfterMs: number | undefined,
    api?: TaskApi,
  ): Promise<SubmitResult> {
    const { store, clock, random, log } = this.#options
    const isLost = api !== undefined && api.submit?.idempotent !== true
    const dueAtMs = isLost ? task.expiresAtMs : clock() + submitDelayMs(task.failures, retryAfterMs, random)
    const known = isLost ? `${error}; whether it has the task is not known` : error
    await store.postpone([{ uid: task.uid, lease: task.lease, dueAtMs, asked: { error: known } }])
    log.warn(
      { source: task.source, uid: task.uid, error: known, ...(!isLost && { retry_in_ms: dueAtMs - clock() }) },
      'task not submitted yet',
    )
    return { outcome: 'unknown' }
  }
}

/** What is sent for a caller's request, which is JSON; undefined: the provider has no endpoint for it. */
export async function requestOf(
  reader: Pick<BodyReader, 'apiWithBody'>,
  { provider, url, secret }: ConnectedSource,
  request: string,
): Promise<ReadyRequest | 'unreadable' | undefined> {
  const submission: Omit<Submission, 'request'> = { webhookUrl: url, secret }
  const said = await reader.apiWithBody(provider, 'tasks.submit.request', Buffer.from(request), [submission])
  if (said.kind === 'unreadable') return 'unreadable'
  return said.kind === 'read' ? ((said.value ?? undefined) as ReadyRequest | undefined) : undefined
}

type AnsweredCall = Extract<CallResult, { ok: true }>

/** 4xx, but for the statuses that do not refuse the request itself. */
const isRefusal = (result: CallResult): result is AnsweredCall =>
  result.ok && result.status >= 400 && result.status < 500 && ![408, 409, 425, 429].includes(result.status)

/** What a provider says went wrong, in the forms that APIs have for it. A long answer is not parsed here. */
function wordsIn(body: Buffer): string | undefined {
  if (body.length > MAX_INLINE_BYTES) return undefined
  const parsed = parseJson(body)
  if (!parsed.ok) return undefined
  const said = ['error.message', 'message', 'detail', 'error', 'title'].map((path) => valueAt(parsed.value, path))
  return said.find((value): value is string => typeof value === 'string' && value !== '')
}
