import type { Page, PageRequest } from './store.ts'
import type { EndedTask, LeasedTask, NewTask, Task, TaskStatus } from './task.ts'

/** What a task is known by. */
export interface TaskName {
  readonly uid: string
  readonly source: string
  /** The provider's id, if it has one. */
  readonly id: string | null
}

export interface Tracked {
  readonly task: Task
  /** False: it was there before, by its id or by its idempotency key. */
  readonly created: boolean
  /** Of a new task that is to be submitted: the task as its caller holds it. */
  readonly leased: LeasedTask | undefined
}

export interface TaskClaim {
  readonly source: string
  /** Tasks that are due to be asked for, or to be submitted again. */
  readonly staleLimit: number
  /** So many places of those go to tasks that have failed, if such are due; 0 unless given. */
  readonly failedPlaces?: number
  /** Tasks past their deadline. */
  readonly expiredLimit: number
  /** After this time somebody else may claim them. */
  readonly leaseMs: number
}

/** What asking (or submitting) came to, where it did not end the task. Fenced by the lease. */
export interface TaskPostponement {
  readonly uid: string
  readonly lease: string
  /** Not before, nor before it is stale; a deadline that comes sooner is kept. */
  readonly dueAtMs: number
  /** The provider was asked; absent: it was not, and nothing is counted. */
  readonly asked?: {
    /** The provider's own word; absent: the answer could not be used. */
    readonly providerStatus?: string
    readonly error?: string
  }
}

export type TaskSubmission =
  /** The provider has it, under this id. */
  | { readonly id: string }
  /** The provider does not want it: it has failed. */
  | { readonly refused: string }

/** A filter that is absent does not filter. */
export interface TaskFilter {
  readonly source?: string
  readonly status?: TaskStatus
}

/** What came of a source's own webhooks and what had to be asked for. */
export interface SourceActivity {
  /** When the last event came by webhook (ms since the epoch); undefined if none is stored. */
  readonly lastWebhookAtMs: number | undefined
  /** Tasks resolved by poll since the given time. */
  readonly recovered: number
}

/**
 * Where tasks live: in the same database as events, because what ends a task is an event (`Store.append`). Guarantees
 * and errors are as with `Store`; times are the store's clock's.
 */
export interface TaskStore {
  /**
   * Begins a task. One that is known by its idempotency key, or by its source and id, is given as it is and nothing
   * changes; a key that was used for another request rejects with `idempotency_mismatch`. A new one whose end has
   * arrived already (an event of its source and id) is terminal from the start, resolved by that event.
   */
  track(task: NewTask): Promise<Tracked>

  /**
   * Records what became of a submission. Undefined, and nothing is changed, if the lease is no longer the task's. The end
   * may have arrived before the id: then the task is terminal. An id that another task of the source bears already fails
   * this one.
   */
  submitted(uid: string, lease: string, submission: TaskSubmission): Promise<Task | undefined>

  /**
   * Leases tasks, those past their deadline first. Of those that are due, tasks that have not failed come before those that
   * have, but for `failedPlaces`; among their like the longest due comes first, so that each has its turn. No task is leased
   * to two callers at once. A task that is past its deadline only by a clock that is doubted (`Upkeep.judgeClock`) is due as others
   * are, and its deadline is given as a later one.
   */
  claimTasks(claim: TaskClaim): Promise<readonly LeasedTask[]>

  /** Leases one task now, due or not; undefined if it is terminal, leased, or not there. */
  claimTask(uid: string, leaseMs: number): Promise<LeasedTask | undefined>

  /** Lets tasks go until their time. Tells for each whether it took effect. */
  postpone(postponements: readonly TaskPostponement[]): Promise<readonly boolean[]>

  /**
   * Nobody waits for it any more; the provider's last word and the last error stay. A terminal one stays as it is. Undefined if
   * there is none. Voids a lease.
   */
  cancelTask(uid: string): Promise<Task | undefined>

  /** Newest first. */
  tasks(filter: TaskFilter, page: PageRequest): Promise<Page<Task>>

  /** By the provider's id or by ours. */
  task(source: string, id: string): Promise<Task | undefined>

  activity(source: string, sinceMs: number): Promise<SourceActivity>

  /** Calls the listener after each commit of this store's that ended a task, once for each. */
  onTaskEnded(listener: (ended: EndedTask) => void): void

  /**
   * Tells of tasks that others who share the database end, soon after their commit, until it is called off; it may tell of
   * this store's own again. Costs one look at the database now and then, however many wait.
   */
  watchEnds(listener: (ended: TaskName) => void): () => void
}
