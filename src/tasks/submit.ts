import type { Logger } from 'pino'
import { parseJson, valueAt } from '../domain/json.ts'
import { MAX_INLINE_BYTES, MAX_SHORT_ANSWER_BYTES } from '../domain/limits.ts'
import type { CallResult, ReadyRequest } from '../domain/outbound.ts'
import type { Submission, TaskApi } from '../domain/provider.ts'
import type { ConnectedSource } from '../domain/source.ts'
import type { LeasedTask, Task } from '../domain/task.ts'
import type { Asked, Asker } from '../domain/task-question.ts'
import type { TaskStore } from '../domain/task-store.ts'
import type { BodyReader } from '../pipeline/body-reader.ts'
import { type AskClocks, ask } from './ask.ts'
import { type CallError, callableApi, callErrorOf, isSuccess } from './provider-calls.ts'
import { submitDelayMs } from './schedule.ts'

/** Only the task's id is read from the answer. Of a long answer the outline is read, so that the task is not lost. */
const SHORT = { maxBytes: MAX_SHORT_ANSWER_BYTES, outline: true } as const

/** The most characters of a provider's error text that the caller gets. */
const MAX_REASON_LENGTH = 500

interface SubmitterOptions extends AskClocks {
  readonly store: TaskStore
  readonly reader: Pick<BodyReader, 'taskId' | 'apiWithBody'>
  readonly random: () => number
  readonly log: Logger
}

/**
 * - `submitted`: the provider has accepted the task, which may have ended already;
 * - `refused`: the provider has refused the task, which has failed by that;
 * - `unknown`: the provider may have the task, or gets it later; the task stays `submitting`.
 */
export type SubmitResult =
  | { readonly outcome: 'submitted'; readonly task: Task }
  | { readonly outcome: 'refused'; readonly reason: string }
  | { readonly outcome: 'unknown'; readonly callError?: CallError }

interface Sent {
  readonly result: CallResult
  readonly asked: Asked
}

interface Unsubmitted {
  readonly error: string
  readonly retryAfterMs?: number | undefined
  /** Present if the provider may have the task. */
  readonly api?: TaskApi | undefined
  /** Absent: the provider was not asked. */
  readonly asked?: Asked
}

/** Submits tasks to providers. The task is stored before the call, and the outcome after it. */
export class Submitter {
  readonly #options: SubmitterOptions

  constructor(options: SubmitterOptions) {
    this.#options = options
  }

  /** Why tasks cannot be submitted to the provider; undefined if they can. */
  fault(source: ConnectedSource): string | undefined {
    const { provider, name } = source
    const callable = callableApi(source)
    if (provider.api?.tasks?.submit === undefined) return `provider ${provider.name} has no API to submit tasks`
    if (callable === undefined) return `the API of source ${name} is not configured`
    if (callable.api.submit?.callsBack === true && source.url === undefined) return 'PUBLIC_URL is not set'
    return undefined
  }

  /** `request`: the request that the provider's module has made for the task. */
  async submit(source: ConnectedSource, task: LeasedTask, request: ReadyRequest): Promise<SubmitResult> {
    const sent = await this.#send(source, task, request, 'caller')
    return sent === undefined ? this.#notSent(task) : this.#outcome(source, task, sent)
  }

  /**
   * Submits a task again whose outcome is not known, or that was not sent. If the last submission was interrupted, only a provider
   * that honours `Idempotency-Key` gets the request again. Any other may have the task already, and a second one might cost money: the
   * task then waits for its deadline.
   */
  async again(source: ConnectedSource, task: LeasedTask, by: Asker, signal: AbortSignal): Promise<SubmitResult> {
    const api = callableApi(source)?.api
    if (api?.submit?.idempotent !== true && task.interrupted)
      return this.#postpone(task, { error: 'the service ended while it submitted the task', api })
    const request = await requestOf(this.#options.reader, source, task.request ?? '{}')
    if (request === undefined || request === 'unreadable') return this.#notSent(task)
    const sent = await this.#send(source, task, request, by, signal)
    if (sent === undefined) return this.#notSent(task)
    // The caller of a new task gets the error of a refused key. A task that Holdfast has accepted already must not fail because of it.
    const isKeyRefused = sent.result.ok && sent.result.status === 401
    return isKeyRefused ? this.#unclear(source, task, sent) : this.#outcome(source, task, sent)
  }

  /** Undefined: the API is not configured. */
  async #send(
    source: ConnectedSource,
    task: LeasedTask,
    request: ReadyRequest,
    by: Asker,
    signal?: AbortSignal,
  ): Promise<Sent | undefined> {
    const headers = { ...request.headers, 'idempotency-key': task.uid }
    const call = callableApi(source)?.call
    if (call === undefined) return undefined
    return ask({ kind: 'submission', by }, this.#options, () => call({ ...request, headers }, signal, SHORT))
  }

  async #outcome(source: ConnectedSource, task: LeasedTask, sent: Sent): Promise<SubmitResult> {
    const { result } = sent
    const id = isSuccess(result) ? await this.#idIn(source, result.body) : undefined
    if (id !== undefined) return this.#accepted(task, id, sent.asked)
    return isRefusal(result) ? this.#refused(source, task, result, sent.asked) : this.#unclear(source, task, sent)
  }

  /** Undefined also for an id that contains a key: Holdfast shows ids. */
  async #idIn({ provider, redact }: ConnectedSource, body: Buffer): Promise<string | undefined> {
    const id = await this.#options.reader.taskId(provider, body)
    return id !== undefined && redact(id) === id ? id : undefined
  }

  async #accepted(task: LeasedTask, id: string, asked: Asked): Promise<SubmitResult> {
    const { store, log } = this.#options
    const stored = await store.submitted(task.uid, task.lease, { id, asked })
    if (stored === undefined) return { outcome: 'unknown' }
    log.info({ source: task.source, task: id, uid: task.uid }, 'task submitted')
    return stored.status === 'failed' && stored.id === null
      ? { outcome: 'refused', reason: stored.lastError ?? '' }
      : { outcome: 'submitted', task: stored }
  }

  async #refused(
    source: ConnectedSource,
    task: LeasedTask,
    { status, body }: AnsweredCall,
    asked: Asked,
  ): Promise<SubmitResult> {
    const { store, log } = this.#options
    const brief = `the provider answered ${status}`
    await store.submitted(task.uid, task.lease, { refused: brief, asked })
    log.warn({ source: task.source, uid: task.uid, error: brief }, 'task refused by its provider')
    const errorText = errorTextIn(body)
    if (errorText === undefined) return { outcome: 'refused', reason: brief }
    // Shortened after redaction: half a key is a secret too, and could not be recognized.
    return { outcome: 'refused', reason: `${brief}: ${source.redact(errorText).slice(0, MAX_REASON_LENGTH)}` }
  }

  async #unclear(source: ConnectedSource, task: LeasedTask, { result, asked }: Sent): Promise<SubmitResult> {
    const api = callableApi(source)?.api
    if (isSuccess(result))
      return this.#postpone(task, { error: 'the answer of the provider has no task id', api, asked })
    const callError = callErrorOf(result, this.#options.clock())
    const { error, outcome, retryAfterMs } = callError
    const isUnsent = ['unreachable', 'forbidden_address', 'rate_limited', 'unauthorized'].includes(outcome)
    await this.#postpone(task, { error, retryAfterMs, api: isUnsent ? undefined : api, asked })
    return { outcome: 'unknown', callError }
  }

  #notSent = (task: LeasedTask): Promise<SubmitResult> =>
    this.#postpone(task, { error: 'the source is not configured to submit tasks' })

  async #postpone(task: LeasedTask, { error, retryAfterMs, api, asked }: Unsubmitted): Promise<SubmitResult> {
    const { store, clock, random, log } = this.#options
    const isLost = api !== undefined && api.submit?.idempotent !== true
    const dueAtMs = isLost ? task.expiresAtMs : clock() + submitDelayMs(task.failures, retryAfterMs, random)
    const lastError = isLost ? `${error}; it is not known whether the provider has the task` : error
    await store.postpone([
      { uid: task.uid, lease: task.lease, dueAtMs, outcome: { error: lastError, ...(asked && { asked }) } },
    ])
    log.warn(
      { source: task.source, uid: task.uid, error: lastError, ...(!isLost && { retry_in_ms: dueAtMs - clock() }) },
      'task not submitted yet',
    )
    return { outcome: 'unknown' }
  }
}

/** The request that the provider's module makes from a caller's request (JSON); undefined: the provider has no endpoint for it. */
export async function requestOf(
  reader: Pick<BodyReader, 'apiWithBody'>,
  { provider, url, secret }: ConnectedSource,
  request: string,
): Promise<ReadyRequest | 'unreadable' | undefined> {
  const submission: Omit<Submission, 'request'> = { webhookUrl: url, secret }
  const result = await reader.apiWithBody(provider, 'tasks.submit.request', Buffer.from(request), [submission])
  if (result.kind === 'unreadable') return 'unreadable'
  return result.kind === 'read' ? ((result.value ?? undefined) as ReadyRequest | undefined) : undefined
}

type AnsweredCall = Extract<CallResult, { ok: true }>

/** 4xx, except the statuses that do not refuse the request itself. */
const isRefusal = (result: CallResult): result is AnsweredCall =>
  result.ok && result.status >= 400 && result.status < 500 && ![408, 409, 425, 429].includes(result.status)

/** The error text in a provider's answer, wherever APIs put it. A long answer is not parsed: that would block this thread. */
function errorTextIn(body: Buffer): string | undefined {
  if (body.length > MAX_INLINE_BYTES) return undefined
  const parsed = parseJson(body)
  if (!parsed.ok) return undefined
  const found = ['error.message', 'message', 'detail', 'error', 'title'].map((path) => valueAt(parsed.value, path))
  return found.find((value): value is string => typeof value === 'string' && value !== '')
}
