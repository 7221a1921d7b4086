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
import { type Trouble, troubleOf } from './answers.ts'
import { isSuccess } from './ask.ts'
import { submitDelayMs } from './schedule.ts'
import { askable } from './task-source.ts'

/** All that is wanted of the answer is the task's id, wherever it stands: a task must not be lost for being answered at length. */
const SHORT = { maxBytes: MAX_SHORT_ANSWER_BYTES, outline: true } as const

/** Characters of a provider's own words that are passed on. */
const MAX_REASON_LENGTH = 500

export interface SubmitterOptions {
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
export type Submitted =
  | { readonly outcome: 'submitted'; readonly task: Task }
  | { readonly outcome: 'refused'; readonly reason: string }
  | { readonly outcome: 'unknown'; readonly trouble?: Trouble }

/** Gives tasks to providers. The task's row is on disk before, and what became of it after. */
export interface Submitter {
  /** Why the provider cannot be given tasks; undefined if it can. */
  fault(source: ConnectedSource): string | undefined
  /** `request`: what its provider's module has made of the task's request. */
  submit(source: ConnectedSource, task: LeasedTask, request: ReadyRequest): Promise<Submitted>
  /**
   * Again, where the first time was cut off. A provider that honours `Idempotency-Key` is sent it again; of any other
   * nobody knows whether it has the task, and a second one might be paid for: it is left to its deadline.
   */
  again(source: ConnectedSource, task: LeasedTask, signal: AbortSignal): Promise<Submitted>
}

// oxlint-disable-next-line max-lines-per-function -- to be cut along its steps
export function createSubmitter({ store, reader, clock, random, log }: SubmitterOptions): Submitter {
  async function submit(
    source: ConnectedSource,
    task: LeasedTask,
    request: ReadyRequest | undefined,
    again?: { signal: AbortSignal },
  ): Promise<Submitted> {
    const access = askable(source)
    if (access === undefined || request === undefined)
      return postpone(task, 'the source is not configured for it', undefined)
    const headers = { ...request.headers, 'idempotency-key': task.uid }
    const result = await access.call({ ...request, headers }, again?.signal, SHORT)
    const id = isSuccess(result) ? await idIn(source, result.body) : undefined
    if (id !== undefined) return took(task, id)
    // Whoever asks for a task is told that the key is refused. A task that was taken on is not to fail for it.
    const isKeyRefused = again !== undefined && result.ok && result.status === 401
    return isRefusal(result) && !isKeyRefused ? refused(source, task, result) : unclear(access.api, task, result)
  }

  /** An id that holds a key is none: it would be told to everyone. */
  async function idIn({ provider, redact }: ConnectedSource, body: Buffer): Promise<string | undefined> {
    const id = await reader.taskId(provider, body)
    return id !== undefined && redact(id) === id ? id : undefined
  }

  async function took(task: LeasedTask, id: string): Promise<Submitted> {
    const stored = await store.submitted(task.uid, task.lease, { id })
    if (stored === undefined) return { outcome: 'unknown' }
    log.info({ source: task.source, task: id, uid: task.uid }, 'task submitted')
    return stored.status === 'failed' && stored.id === null
      ? { outcome: 'refused', reason: stored.lastError ?? '' }
      : { outcome: 'submitted', task: stored }
  }

  async function refused(source: ConnectedSource, task: LeasedTask, { status, body }: Answered): Promise<Submitted> {
    const brief = `the provider answered ${status}`
    await store.submitted(task.uid, task.lease, { refused: brief })
    log.warn({ source: task.source, uid: task.uid, error: brief }, 'task refused by its provider')
    const said = wordsIn(body)
    if (said === undefined) return { outcome: 'refused', reason: brief }
    // Shortened last: half a key is a secret too.
    return { outcome: 'refused', reason: `${brief}: ${source.redact(said).slice(0, MAX_REASON_LENGTH)}` }
  }

  async function unclear(api: TaskApi, task: LeasedTask, result: CallResult): Promise<Submitted> {
    if (isSuccess(result)) return postpone(task, 'the provider answered, but gave no id for it', undefined, api)
    const trouble = troubleOf(result, clock())
    const { error, outcome, retryAfterMs } = trouble
    const isUnsent = ['unreachable', 'forbidden_address', 'rate_limited', 'unauthorized'].includes(outcome)
    await postpone(task, error, retryAfterMs, isUnsent ? undefined : api)
    return { outcome: 'unknown', trouble }
  }

  /** `api`: the provider may have the task. */
  async function postpone(
    task: LeasedTask,
    error: string,
    retryAfterMs: number | undefined,
    api?: TaskApi,
  ): Promise<Submitted> {
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

  return {
    submit,
    fault(source) {
      const access = askable(source)
      const name = source.provider.name
      if (source.provider.api?.tasks?.submit === undefined) return `provider ${name} takes no tasks from here`
      if (access === undefined) return `the API of source ${source.name} is not configured`
      if (access.api.submit?.callsBack === true && source.url === undefined) return 'PUBLIC_URL is not set'
      return undefined
    },
    async again(source, task, signal) {
      const isIdempotent = askable(source)?.api.submit?.idempotent === true
      if (!isIdempotent && task.interrupted)
        return postpone(task, 'the service ended while it was submitting it', undefined, askable(source)?.api)
      const request = await requestOf(reader, source, task.request ?? '{}')
      return submit(source, task, request === 'unreadable' ? undefined : request, { signal })
    },
  }
}

/** What is sent for a request, which is JSON; undefined: the provider has no endpoint for it. */
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

type Answered = Extract<CallResult, { ok: true }>

/** 4xx, but for those that say nothing against the request itself. */
const isRefusal = (result: CallResult): result is Answered =>
  result.ok && result.status >= 400 && result.status < 500 && ![408, 409, 425, 429].includes(result.status)

/** What a provider says went wrong, in the forms that APIs have for it; never at length. */
function wordsIn(body: Buffer): string | undefined {
  if (body.length > MAX_INLINE_BYTES) return undefined
  const parsed = parseJson(body)
  if (!parsed.ok) return undefined
  const said = ['error.message', 'message', 'detail', 'error', 'title'].map((path) => valueAt(parsed.value, path))
  return said.find((value): value is string => typeof value === 'string' && value !== '')
}
