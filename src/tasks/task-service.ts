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
import { questionOf } from './ask.ts'
import { type Lane, POLL_LEASE_MS } from './source-poller.ts'
import { requestOf, type Submitter } from './submit.ts'
import { TaskReader } from './task-reader.ts'
import { askable, whyUnaskable } from './task-source.ts'
import type { Waiters } from './waiters.ts'

/** The longest that somebody waits for his turn to ask. */
const MAX_TURN_MS = 5_000

export interface TaskServiceOptions {
  readonly store: TaskStore
  readonly sources: ReadonlyMap<string, ConnectedSource>
  readonly lanes: ReadonlyMap<string, Lane>
  readonly submitter: Submitter
  readonly readers?: Pick<ProviderReaders, 'api'>
  readonly reader: Pick<BodyReader, 'apiWithBody' | 'fingerprint'>
  readonly waiters: Waiters
  readonly maxWaitMs: number
  readonly deadlineMs: number
}

// oxlint-disable-next-line max-lines-per-function -- to be cut along its steps
export function createTaskService(options: TaskServiceOptions): TaskService {
  const { store, sources, lanes, submitter, readers = directReaders, waiters } = options
  const reader = new TaskReader(store)

  function sourceOf(name: string): ConnectedSource {
    const source = sources.get(name)
    if (source === undefined) throw new HoldfastError('unknown_source', `there is no source ${name}`)
    return source
  }

  /** Also one of a source that is configured no more. */
  async function find(source: string, id: string): Promise<Task> {
    const task = await reader.find(source, id)
    if (task === undefined) sourceOf(source)
    if (task === undefined) throw new HoldfastError('task_not_found', `source ${source} has no task ${id}`)
    return task
  }

  async function submit(source: ConnectedSource, task: LeasedTask, request: ReadyRequest): Promise<Task> {
    const submitted = await submitter.submit(source, task, request)
    if (submitted.outcome === 'submitted') return submitted.task
    if (submitted.outcome === 'refused') throw new HoldfastError('provider_failed', submitted.reason)
    return find(task.source, task.uid)
  }

  async function show(source: string, id: string, waitMs: number, signal: AbortSignal): Promise<Task> {
    // It listens before it looks, or an end between the two would be missed.
    const over = new AbortController()
    const ended = waitMs > 0 ? waiters.wait(source, id, waitMs, AbortSignal.any([signal, over.signal])) : undefined
    try {
      const task = await find(source, id)
      if (isTerminal(task.status) || ended === undefined) return task
      // A uid in another spelling: nobody is told of an end by that.
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

    async cancel(source, id) {
      const { uid } = await find(source, id)
      return (await store.cancelTask(uid)) ?? find(source, uid)
    },

    async poll(source, id) {
      const task = await find(source, id)
      if (isTerminal(task.status)) return task
      const access = askable(sourceOf(source))
      if (access === undefined) throw new HoldfastError('not_configured', whyUnaskable(sourceOf(source)))
      // Whoever is asked for it would be given it, and may have it already.
      if (task.id === null && access.api.submit?.idempotent !== true)
        throw new HoldfastError('conflict', `task ${id} has no id at its provider by which to ask for it`)
      const lane = lanes.get(source)
      if (lane !== undefined && lane.waitMs() > MAX_TURN_MS)
        throw new HoldfastError('unavailable', `too many questions to the provider of source ${source} are waiting`)
      const leased = await store.claimTask(task.uid, POLL_LEASE_MS)
      const wasAsked = leased === undefined || (await lane?.handleNow(leased)) === true
      const known = await find(source, task.uid)
      if (!wasAsked && !isTerminal(known.status))
        throw new HoldfastError('conflict', `the provider of source ${source} is in trouble, and is not asked for now`)
      if (leased === undefined && !isTerminal(known.status))
        throw new HoldfastError('conflict', `task ${id} is being asked for already`)
      return known
    },
  }
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
  if (provider.api?.tasks !== undefined && (await questionOf({ provider, readers, taskId })) === undefined)
    throw new HoldfastError('invalid_request', `provider ${provider.name} has no tasks of such an id`)
}

/** Gives what the provider's module makes of the caller's request, which is then sent. */
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
