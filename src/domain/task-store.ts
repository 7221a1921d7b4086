import type { Page, PageRequest } from './page.ts'
import type { LeasedTask, NewTask, Task, TaskStatus } from './task.ts'

export interface Tracked {
  readonly task: Task
  /** False: the store knew it already, by its id or by its idempotency key. */
  readonly created: boolean
  /** Of a new task that is to be submitted: the task as its caller holds it. */
  readonly leased: LeasedTask | undefined
}

export interface TaskClaim {
  readonly source: string
  /** Tasks that are due to be asked for, or to be submitted again. */
  readonly staleLimit: number
  /** So many of those places are for tasks that have failed, if such are due; 0 unless given. */
  readonly failedPlaces?: number
  /** Tasks past their deadline. */
  readonly expiredLimit: number
  /** After this time another caller may claim them. */
  readonly leaseMs: number
}

/** The outcome of a poll or a submission that did not end the task. Fenced by the lease. */
export interface TaskPostponement {
  readonly uid: string
  readonly lease: string
  /** The task is due then, but not before it is stale; a deadline that comes sooner is kept. */
  readonly dueAtMs: number
  /** The provider was asked; absent: it was not, and no poll is counted. */
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

/** What came by a source's own webhooks, and what Holdfast had to ask for. */
export interface SourceActivity {
  /** When the last event came by webhook (ms since the epoch); undefined if none is stored. */
  readonly lastWebhookAtMs: number | undefined
  /** Tasks resolved by poll since the given time. */
  readonly recovered: number
}

/**
 * Tasks live in the same database as events, because what ends a task is an event (`EventStore.append`). Times are by the
 * store's clock.
 */
export interface TaskStore {
  /**
   * Begins a task. A task that is known by its idempotency key, or by its source and id, is answered as it is, and nothing
   * changes; a key that was used for another request rejects with `idempotency_mismatch`. A new task whose end has arrived
   * already (an event of its source and id) is terminal from the start, resolved by that event.
   */
  track(task: NewTask): Promise<Tracked>

  /**
   * Records the outcome of a submission. Undefined, and nothing changes, if the lease is no longer the task's. The end may have
   * arrived before the id: then the task is terminal. If another task of the source has the id already, this task fails.
   */
  submitted(uid: string, lease: string, submission: TaskSubmission): Promise<Task | undefined>

  /**
   * Leases tasks: first those past their deadline, then those that are due. Of the due ones, tasks that have not failed come
   * before those that have, but for `failedPlaces`; among equals the longest due comes first, so that each gets its turn. No
   * task is leased to two callers at once. A task that is past its deadline only by a clock that is doubted
   * (`StoreClock.judgeClock`) is due like any other, and is given with a later deadline.
   */
  claimTasks(claim: TaskClaim): Promise<readonly LeasedTask[]>

  /** Leases one task now, due or not; undefined if it is terminal, leased, or does not exist. */
  claimTask(uid: string, leaseMs: number): Promise<LeasedTask | undefined>

  /** Gives leases back until the tasks are due again. The answer tells for each whether it took effect. */
  postpone(postponements: readonly TaskPostponement[]): Promise<readonly boolean[]>

  /**
   * Ends a task because its owner no longer waits for it, and voids its lease. The provider's last status and the last error
   * stay, and a terminal task stays as it is. Undefined if there is no such task.
   */
  cancelTask(uid: string): Promise<Task | undefined>

  /** Newest first. */
  tasks(filter: TaskFilter, page: PageRequest): Promise<Page<Task>>

  /** By the provider's id or by ours. */
  task(source: string, id: string): Promise<Task | undefined>

  activity(source: string, sinceMs: number): Promise<SourceActivity>
}
