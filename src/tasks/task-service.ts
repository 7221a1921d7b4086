import { fingerprintOf } from '../domain/checksum.ts'
import { HoldfastError } from '../domain/errors.ts'
import { isDeeperThan } from '../domain/json.ts'
import { MAX_JSON_DEPTH, MAX_TASK_METADATA_BYTES, MAX_TASK_REQUEST_BYTES } from '../domain/limits.ts'
import { isTaskId, newUid } from '../domain/names.ts'
import type { ReadyRequest } from '../domain/outbound.ts'
import type { ConnectedSource } from '../domain/source.ts'
import { isTerminal, type LeasedTask, type NewTask, type Task } from '../domain/task.ts'
import type { TaskOrder, TaskService } from '../domain/task-service.ts'
import type { TaskStore } from '../domain/task-store.ts'
import type { BodyReader } from '../pipeline/body-reader.ts'
import { directReaders, type ProviderReaders } from '../pipeline/provider-readers.ts'
import { callableApi, pollRequest, whyNotCallable } from './provider-calls.ts'
import { POLL_LEASE_MS, type SourcePoller } from './source-poller.ts'
import { requestOf, type Submitter } from './submit.ts'
import type { TaskWaiters } from './task-waiters.ts'

/** The longest that a poll which an operator requests waits for the rate limit. */
const MAX_TURN_MS = 5_000

/** The most look-ups that are open at once, so that other readers of the store get their turn when many tasks end together. */
const MAX_OPEN_LOOKUPS = 64

interface TaskServiceOptions {
  readonly store: TaskStore
  readonly sources: ReadonlyMap<string, ConnectedSource>
  readonly pollers: ReadonlyMap<string, SourcePoller>
  readonly submitter: Submitter
  readonly readers?: Pick<ProviderReaders, 'api'>
  readonly reader: Pick<BodyReader, 'apiWithBody' | 'fingerprint'>
  readonly waiters: TaskWaiters
  readonly maxWaitMs: number
  readonly deadlineMs: number
}

export function createTaskService(options: TaskServiceOptions): TaskService {
  const { store, submitter, readers = directReaders, waiters } = options
  const lookup = createLookup(options)
  const { sourceOf, find } = lookup
  const questions = new TaskReader((_source, uid) => store.questions(uid))

  async function submit(source: ConnectedSource, task: LeasedTask, request: ReadyRequest): Promise<Task> {
    const submitted = await submitter.submit(source, task, request)
    if (submitted.outcome === 'submitted') return submitted.task
    if (submitted.outcome === 'refused') throw new HoldfastError('provider_failed', submitted.reason)
    return find(task.source, task.uid)
  }

  async function show(source: string, id: string, waitMs: number, signal: AbortSignal): Promise<Task> {
    // The wait begins before the look-up, so that no end between the two is missed.
    const over = new AbortController()
    const ended = waitMs > 0 ? waiters.wait(source, id, waitMs, AbortSignal.any([signal, over.signal])) : undefined
    try {
      const task = await find(source, id)
      if (isTerminal(task.status) || ended === undefined) return task
      // The caller wrote the uid in another spelling, but waiters are called by the usual one.
      if (task.uid !== id && task.id !== id) return await show(source, task.uid, waitMs, signal)
      await ended
      return await find(source, id)
    } finally {
      over.abort()
    }
  }

  return {
    async begin(order) {
      const source = sourceOf(order.source)
      const task = newTask(order, options)
      const request = 'submit' in order.work ? await checkedRequest(source, options, order.work.submit) : undefined
      if ('taskId' in order.work) await checkTaskId(source, readers, order.work.taskId)
      const idempotency = await idempotencyOf(source, options, order)
      const tracked = await store.track(idempotency === undefined ? task : { ...task, idempotency })
      const { created, leased } = tracked
      const isSubmitted = leased !== undefined && request !== undefined
      return { task: isSubmitted ? await submit(source, leased, request) : tracked.task, created }
    },
    list: (filter, page) => store.tasks(filter, page),
    show,
    questions: ({ source, uid }) => questions.find(source, uid),
    async cancel(source, id) {
      const { uid } = await find(source, id)
      return (await store.cancelTask(uid)) ?? find(source, uid)
    },
    poll: (source, id) => pollNow(options, lookup, source, id),
  }
}

interface Lookup {
  /** Throws `unknown_source`. */
  readonly sourceOf: (name: string) => ConnectedSource
  /** Finds also tasks of a source that is no longer configured. Rejects with `unknown_source` or `task_not_found`. */
  readonly find: (source: string, id: string) => Promise<Task>
}

function createLookup({ store, sources }: Pick<TaskServiceOptions, 'store' | 'sources'>): Lookup {
  const reader = new TaskReader((source, id) => store.task(source, id))
  const sourceOf: Lookup['sourceOf'] = (name) => {
    const source = sources.get(name)
    if (source === undefined) throw new HoldfastError('unknown_source', `there is no source ${name}`)
    return source
  }
  return {
    sourceOf,
    async find(source, id) {
      const task = await reader.find(source, id)
      if (task === undefined) sourceOf(source)
      if (task === undefined) throw new HoldfastError('task_not_found', `source ${source} has no task ${id}`)
      return task
    },
  }
}

async function pollNow(
  { store, pollers }: Pick<TaskServiceOptions, 'store' | 'pollers'>,
  { sourceOf, find }: Lookup,
  source: string,
  id: string,
): Promise<Task> {
  const task = await find(source, id)
  if (isTerminal(task.status)) return task
  const callable = callableApi(sourceOf(source))
  if (callable === undefined) throw new HoldfastError('not_configured', whyNotCallable(sourceOf(source)))
  // A poll of a task without an id submits it again, and the provider may have it already.
  if (task.id === null && callable.api.submit?.idempotent !== true)
    throw new HoldfastError('conflict', `task ${id} has no id at its provider by which it could be polled`)
  const poller = pollers.get(source)
  if (poller !== undefined && poller.waitMs() > MAX_TURN_MS)
    throw new HoldfastError('unavailable', `too many polls of the provider of source ${source} are waiting`)
  const leased = await store.claimTask(task.uid, POLL_LEASE_MS)
  const isPolled = leased === undefined || (await poller?.pollNow(leased)) === true
  const known = await find(source, task.uid)
  if (!isPolled && !isTerminal(known.status))
    throw new HoldfastError(
      'conflict',
      `the circuit breaker of source ${source} is open: its provider is not polled now`,
    )
  if (leased === undefined && !isTerminal(known.status))
    throw new HoldfastError('conflict', `task ${id} is being polled already`)
  return known
}

function newTask({ source, work, ...order }: TaskOrder, defaults: { maxWaitMs: number; deadlineMs: number }): NewTask {
  const request = 'submit' in work ? bounded('submit', work.submit, MAX_TASK_REQUEST_BYTES) : undefined
  const metadata = order.metadata && bounded('metadata', JSON.stringify(order.metadata), MAX_TASK_METADATA_BYTES)
  return {
    uid: newUid(),
    source,
    ...('taskId' in work && { id: work.taskId }),
    ...(request !== undefined && { request, leaseMs: POLL_LEASE_MS }),
    ...(metadata !== undefined && { metadata }),
    maxWaitMs: order.maxWaitMs ?? defaults.maxWaitMs,
    deadlineMs: order.deadlineMs ?? defaults.deadlineMs,
  }
}

function bounded(field: string, json: string, limitBytes: number): string {
  const bytes = Buffer.from(json)
  if (bytes.length > limitBytes)
    throw new HoldfastError('invalid_request', `${field} has more than ${limitBytes} bytes`)
  if (isDeeperThan(bytes, MAX_JSON_DEPTH))
    throw new HoldfastError('invalid_request', `${field} nests deeper than ${MAX_JSON_DEPTH}`)
  return json
}

type TaskCaller = Pick<ProviderReaders, 'api'>

async function checkTaskId({ provider }: ConnectedSource, readers: TaskCaller, taskId: string): Promise<void> {
  if (!isTaskId(taskId))
    throw new HoldfastError('invalid_request', 'task_id has characters, or segments of dots, that no task id has')
  if (provider.api?.tasks !== undefined && (await pollRequest({ provider, readers, taskId })) === undefined)
    throw new HoldfastError('invalid_request', `provider ${provider.name} cannot have a task with this id`)
}

/** The request that the provider's module makes from the caller's request. Throws if it cannot be submitted. */
async function checkedRequest(
  source: ConnectedSource,
  { submitter, reader }: Pick<TaskServiceOptions, 'submitter' | 'reader'>,
  request: string,
): Promise<ReadyRequest> {
  const fault = submitter.fault(source)
  if (fault !== undefined) throw new HoldfastError('not_configured', fault)
  const made = await requestOf(reader, source, request)
  if (made === 'unreadable') throw new HoldfastError('invalid_request', 'submit is not valid JSON')
  if (made === undefined)
    throw new HoldfastError('invalid_request', `provider ${source.provider.name} has no endpoint for this request`)
  return made
}

async function idempotencyOf(
  { provider }: ConnectedSource,
  { reader }: Pick<TaskServiceOptions, 'reader'>,
  { work, idempotency }: TaskOrder,
): Promise<NewTask['idempotency']> {
  if (idempotency === undefined) return undefined
  const { key, beside } = idempotency
  const fingerprint =
    'submit' in work ? await reader.fingerprint(provider, beside, Buffer.from(work.submit)) : fingerprintOf(beside)
  if (fingerprint === undefined) throw new HoldfastError('unavailable', 'the request could not be read')
  return { key, fingerprint }
}

interface QueuedLookup<Found> {
  readonly source: string
  readonly id: string
  readonly promise: Promise<Found>
  readonly resolve: (found: Promise<Found>) => void
}

/**
 * Looks tasks up, or what belongs to them. Callers that want the same share a look-up that has not begun yet, but not one that has begun,
 * so that no caller gets a state from before its call.
 */
class TaskReader<Found> {
  readonly #read: (source: string, id: string) => Promise<Found>
  readonly #queued = new Map<string, QueuedLookup<Found>>()
  #open = 0

  constructor(read: (source: string, id: string) => Promise<Found>) {
    this.#read = read
  }

  find(source: string, id: string): Promise<Found> {
    const key = `${source}\0${id}`
    const known = this.#queued.get(key)
    if (known !== undefined) return known.promise
    const { promise, resolve } = Promise.withResolvers<Found>()
    this.#queued.set(key, { source, id, promise, resolve })
    if (this.#queued.size === 1) setImmediate(() => this.#begin())
    return promise
  }

  #begin(): void {
    for (const [key, { source, id, resolve }] of this.#queued) {
      if (this.#open >= MAX_OPEN_LOOKUPS) return
      this.#queued.delete(key)
      this.#open++
      const found = this.#read(source, id)
      resolve(found)
      void found
        .catch(() => {})
        .finally(() => {
          this.#open--
          this.#begin()
        })
    }
  }
}
