import type { NewEvent } from '../../src/domain/event.ts'
import {
  type EndedTask,
  isTerminal,
  type NewTask,
  type ResolvedBy,
  type Task,
  type TaskEnd,
  type TaskEnding,
  type TaskStatus,
} from '../../src/domain/task.ts'
import type {
  SourceActivity,
  TaskClaim,
  TaskFilter,
  TaskPostponement,
  TaskSubmission,
} from '../../src/domain/task-store.ts'

export interface ModelTask {
  readonly given: NewTask
  readonly createdAtMs: number
  readonly staleAtMs: number
  readonly expiresAtMs: number
  id: string | undefined
  status: TaskStatus
  word: string | null
  dueAtMs: number
  /** As the store under test named it; undefined: the task is not leased. */
  lease: string | undefined
  polls: number
  failures: number
  lastError: string | null
  endedAtMs: number | undefined
  resolvedBy: ResolvedBy | null
  eventUid: string | null
}

/** An event of the model that tells the end of a task, in order of arrival. */
type EndOf = (source: string, id: string) => NewEvent | undefined

/** Stands for a lease until the store under test has named it. */
const UNNAMED = 'unnamed'

/** The tasks of the store port, as plainly as possible: a list in order of creation. */
export class ModelTasks {
  readonly ended: EndedTask[] = []
  all: ModelTask[] = []
  readonly #endOf: EndOf

  constructor(endOf: EndOf) {
    this.#endOf = endOf
  }

  stuck(source: string, sinceMs: number): SourceActivity['stuck'] {
    const times = this.all
      .filter(({ given, endedAtMs, failures }) => given.source === source && endedAtMs === undefined && failures > 0)
      .map(({ staleAtMs }) => staleAtMs)
      .filter((staleAtMs) => staleAtMs < sinceMs)
    return times.length === 0 ? undefined : { count: times.length, staleAtMs: Math.min(...times) }
  }

  track(given: NewTask, nowMs: number): { task: ModelTask; created: boolean } | 'idempotency_mismatch' {
    const { idempotency, id, source } = given
    const sameKey = this.all.find((task) => idempotency && task.given.idempotency?.key === idempotency.key)
    if (sameKey !== undefined && sameKey.given.idempotency?.fingerprint !== idempotency?.fingerprint)
      return 'idempotency_mismatch'
    const known = sameKey ?? (id === undefined ? undefined : this.find(source, id))
    if (known !== undefined) return { task: known, created: false }
    const [staleAtMs, expiresAtMs] = [nowMs + given.maxWaitMs, nowMs + given.deadlineMs]
    const task: ModelTask = {
      given,
      createdAtMs: nowMs,
      staleAtMs,
      expiresAtMs,
      id,
      status: id === undefined ? 'submitting' : 'pending',
      word: null,
      dueAtMs: id === undefined ? nowMs + (given.leaseMs ?? 0) : Math.min(staleAtMs, expiresAtMs),
      lease: id === undefined ? UNNAMED : undefined,
      polls: 0,
      failures: 0,
      lastError: null,
      endedAtMs: undefined,
      resolvedBy: null,
      eventUid: null,
    }
    this.all.push(task)
    this.#catchUp(task, nowMs)
    return { task, created: true }
  }

  submitted(task: ModelTask, lease: string, submission: TaskSubmission, nowMs: number): ModelTask | undefined {
    if (task.status !== 'submitting' || !this.#holds(task, lease)) return undefined
    const isTaken = 'id' in submission && this.find(task.given.source, submission.id) !== undefined
    if ('refused' in submission || isTaken) {
      this.#end(task, 'failed', nowMs, undefined)
      task.lastError = 'refused' in submission ? submission.refused : 'taken'
      return task
    }
    const dueAtMs = Math.min(task.staleAtMs, task.expiresAtMs)
    Object.assign(task, {
      id: submission.id,
      status: 'pending',
      lease: undefined,
      failures: 0,
      lastError: null,
      dueAtMs,
    })
    this.#catchUp(task, nowMs)
    return task
  }

  claim(
    { source, staleLimit, expiredLimit, failedPlaces = 0, leaseMs }: TaskClaim,
    nowMs: number,
  ): readonly ModelTask[] {
    const due = this.all.filter((task) => task.given.source === source && this.#isFree(task, nowMs))
    const expired = due
      .filter(({ expiresAtMs }) => expiresAtMs <= nowMs)
      .toSorted((a, b) => a.expiresAtMs - b.expiresAtMs)
    const stale = due
      .filter(({ expiresAtMs, dueAtMs }) => expiresAtMs > nowMs && dueAtMs <= nowMs)
      .toSorted((a, b) => a.dueAtMs - b.dueAtMs)
    const sound = stale.filter(({ failures }) => failures === 0)
    const failed = stale
      .filter(({ failures }) => failures > 0)
      .slice(0, Math.min(staleLimit, Math.max(failedPlaces, staleLimit - sound.length)))
    const claimed = [...expired.slice(0, expiredLimit), ...sound.slice(0, staleLimit - failed.length), ...failed]
    for (const task of claimed) this.#lease(task, nowMs + leaseMs)
    return claimed
  }

  claimOne(task: ModelTask, leaseMs: number, nowMs: number): ModelTask | undefined {
    if (!this.#isFree(task, nowMs)) return undefined
    this.#lease(task, nowMs + leaseMs)
    return task
  }

  postpone(task: ModelTask, { lease, dueAtMs, outcome }: TaskPostponement): boolean {
    if (!this.#holds(task, lease)) return false
    const notBefore = task.status === 'pending' ? Math.max(dueAtMs, task.staleAtMs) : dueAtMs
    Object.assign(task, { lease: undefined, dueAtMs: Math.min(notBefore, task.expiresAtMs) })
    if (outcome === undefined) return true
    if (task.status === 'pending') task.polls++
    task.failures = outcome.providerStatus === undefined ? task.failures + 1 : 0
    task.word = outcome.providerStatus ?? task.word
    task.lastError = outcome.error ?? null
    return true
  }

  cancel(task: ModelTask, nowMs: number): ModelTask | undefined {
    if (!this.all.includes(task)) return undefined
    if (isTerminal(task.status)) return task
    const { lastError } = task
    this.#end(task, 'cancelled', nowMs, undefined)
    return Object.assign(task, { lastError })
  }

  prune(endedBeforeMs: number): number {
    const before = this.all.length
    this.all = this.all.filter(({ endedAtMs }) => endedAtMs === undefined || endedAtMs >= endedBeforeMs)
    return before - this.all.length
  }

  /** What an event that is not known yet means to a task. */
  effectOf({ source, task: id, taskEnd, taskLease }: NewEvent): ModelTask | 'none' | 'fenced' | 'superseded' {
    if (taskLease !== undefined) {
      const task = this.all.find(({ given }) => given.uid === taskLease.uid)
      return task !== undefined && taskEnd !== undefined && this.#holds(task, taskLease.lease) ? task : 'fenced'
    }
    const task = id === undefined || taskEnd === undefined ? undefined : this.find(source, id)
    if (task === undefined) return 'none'
    if (!isTerminal(task.status)) return task
    return task.eventUid === null ? 'none' : 'superseded'
  }

  resolve(task: ModelTask, { uid, receivedAtMs, taskLease, taskEnd }: NewEvent): void {
    const before = { word: task.word, lastError: task.lastError }
    this.#end(task, taskEnd?.status ?? 'failed', receivedAtMs, { uid, by: taskLease?.by ?? 'webhook', end: taskEnd })
    task.lastError = taskLease?.error ?? (taskLease?.by === 'expiry' ? before.lastError : null)
    if (taskLease?.by === 'expiry') task.word = taskLease.providerStatus ?? before.word
  }

  /** Of an event that gives its id up. Gives the task of whose end it had told. */
  giveUp({ uid, source, task: id }: NewEvent): ModelTask | undefined {
    const task = id === undefined ? undefined : this.find(source, id)
    if (task?.eventUid !== uid) return undefined
    task.eventUid = null
    return task
  }

  /** Of an event that runs after all. */
  tell(
    effect: ReturnType<ModelTasks['effectOf']>,
    event: NewEvent,
    givenUp: ModelTask | undefined,
    nowMs: number,
  ): void {
    if (typeof effect !== 'string') this.resolve(effect, { ...event, receivedAtMs: nowMs })
    else if (givenUp !== undefined && event.taskEnd !== undefined && event.task === givenUp.id)
      givenUp.eventUid = event.uid
  }

  find = (source: string, id: string): ModelTask | undefined =>
    this.all.find((task) => task.given.source === source && task.id === id)

  /** Newest first. */
  list({ source, status, staleAtMs }: TaskFilter): readonly ModelTask[] {
    return this.all
      .toReversed()
      .filter((task) => source === undefined || task.given.source === source)
      .filter((task) => status === undefined || task.status === status)
      .filter((task) => staleAtMs === undefined || (task.endedAtMs === undefined && task.staleAtMs <= staleAtMs))
  }

  /** No poll was needed for this task, even if the event was the answer about a forgotten task of the same id. */
  #catchUp(task: ModelTask, nowMs: number): void {
    const event = task.id === undefined ? undefined : this.#endOf(task.given.source, task.id)
    if (event === undefined) return
    const { taskLease: _, ...end } = event
    this.resolve(task, { ...end, receivedAtMs: nowMs })
  }

  #lease = (task: ModelTask, untilMs: number): void => void Object.assign(task, { lease: UNNAMED, dueAtMs: untilMs })

  #holds = (task: ModelTask, lease: string): boolean =>
    this.all.includes(task) && !isTerminal(task.status) && task.lease === lease

  #isFree = (task: ModelTask, nowMs: number): boolean =>
    this.all.includes(task) && !isTerminal(task.status) && (task.lease === undefined || task.dueAtMs <= nowMs)

  #end(
    task: ModelTask,
    status: TaskEnding,
    endedAtMs: number,
    how: { readonly uid: string; readonly by: ResolvedBy; readonly end: TaskEnd | undefined } | undefined,
  ): void {
    const { uid = null, by = null } = how ?? {}
    Object.assign(task, {
      status,
      endedAtMs,
      lease: undefined,
      lastError: null,
      resolvedBy: by,
      eventUid: uid,
    })
    task.word = how?.end?.word ?? task.word
    if (by === 'poll') task.polls++
    const { given, id } = task
    this.ended.push({ uid: given.uid, source: given.source, id, status, by: how?.by })
  }
}

/** As the store shows it; why a task failed whose id was taken is its own to say. */
export const shown = (task: ModelTask): Omit<Task, 'lastError'> & { lastError: unknown } => ({
  uid: task.given.uid,
  source: task.given.source,
  id: task.id ?? null,
  status: task.status,
  providerStatus: task.word,
  metadata: null,
  createdAtMs: task.createdAtMs,
  staleAtMs: task.staleAtMs,
  expiresAtMs: task.expiresAtMs,
  nextPollAtMs: task.endedAtMs === undefined ? task.dueAtMs : null,
  polls: task.polls,
  lastError: task.lastError,
  endedAtMs: task.endedAtMs ?? null,
  resolvedBy: task.resolvedBy,
  eventUid: task.eventUid,
})
