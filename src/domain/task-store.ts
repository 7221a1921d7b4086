import type { Page, PageRequest } from './page.ts'
import type { LeasedTask, NewTask, Task, TaskStatus } from './task.ts'
import type { Asked, Question } from './task-question.ts'

export interface Tracked {
  readonly task: Task
  /** False: a task with this id or this idempotency key was in the store already. */
  readonly created: boolean
  /** Of a new task that is to be submitted: the task with the caller's lease. */
  readonly leased: LeasedTask | undefined
}

export interface TaskClaim {
  readonly source: string
  /** The most tasks that are due for a poll or for another submission. */
  readonly staleLimit: number
  /** How many of `staleLimit` are for tasks whose last poll failed, if such are due. Default: 0. */
  readonly failedPlaces?: number
  /** The most tasks past their deadline. */
  readonly expiredLimit: number
  /** After this time another caller may claim the tasks. */
  readonly leaseMs: number
}

/** The outcome of a poll or a submission that did not end the task. Fenced by the lease. */
export interface TaskPostponement {
  readonly uid: string
  readonly lease: string
  /** When the task is due next. It is not due before it is stale, and at the latest at its deadline. */
  readonly dueAtMs: number
  /** The result of the poll or submission. Absent: the provider was not asked, and no poll is counted. */
  readonly outcome?: {
    /** The provider's status of the task. Absent: the answer could not be used. */
    readonly providerStatus?: string
    readonly error?: string
    /** The question, which is kept. Absent: the provider could not be asked. */
    readonly asked?: Asked
  }
}

/** `asked`: the question, which is kept; absent: none is. */
export type TaskSubmission =
  /** The provider has accepted the task, and gave it this id. */
  | { readonly id: string; readonly asked?: Asked }
  /** The provider has refused the task, which has failed by that. The text says why. */
  | { readonly refused: string; readonly asked?: Asked }

/** A filter that is absent does not filter. */
export interface TaskFilter {
  readonly source?: string
  readonly status?: TaskStatus
  /** Tasks that are not over, and were stale at this time: their providers are asked. */
  readonly staleAtMs?: number
}

/** What a source's webhooks have brought, and what only polls have brought. */
export interface SourceActivity {
  /** When the last event came by webhook (ms since the epoch); undefined if none is stored. */
  readonly lastWebhookAtMs: number | undefined
  /** Tasks resolved by poll since the given time. */
  readonly recovered: number
  /** Tasks that are not over, were due to be over before the given time, and whose last poll or submission failed. */
  readonly stuck: StuckTasks | undefined
}

export interface StuckTasks {
  /** At most `MAX_STUCK_COUNTED`. */
  readonly count: number
  /** The first time at which one of them was due to be over. */
  readonly staleAtMs: number
}
export const MAX_STUCK_COUNTED = 1_000

/**
 * Tasks live in the same database as events, because what ends a task is an event (`EventStore.append`). Times are by the
 * store's clock.
 */
export interface TaskStore {
  /**
   * Begins a task. If a task with the same idempotency key, or the same source and id, exists, gives that task and changes nothing.
   * Rejects with `idempotency_mismatch` if the key was used for another request. If an event has already reported the end of the new
   * task (same source and id), the task is terminal from the start, resolved by that event.
   */
  track(task: NewTask): Promise<Tracked>

  /**
   * Records the outcome of a submission. Undefined, and nothing changes, if the task no longer has this lease. If the event of its
   * end arrived before its id, the task becomes terminal. If another task of the source has the id already, this task fails.
   */
  submitted(uid: string, lease: string, submission: TaskSubmission): Promise<Task | undefined>

  /**
   * Leases tasks: first those past their deadline, then those that are due. Of the due tasks, those whose last poll did not fail
   * come first, but `failedPlaces` are kept for those whose last poll failed; within each group the task that has been due longest
   * comes first, so that each gets its turn. No task is leased to two callers at once. If a task is past its deadline only by a
   * doubted clock (`StoreClock.judgeClock`), it counts as due, and the result has a later deadline for it.
   */
  claimTasks(claim: TaskClaim): Promise<readonly LeasedTask[]>

  /** Leases one task now, due or not; undefined if it is terminal, leased, or does not exist. */
  claimTask(uid: string, leaseMs: number): Promise<LeasedTask | undefined>

  /** Releases the leases; each task is due again at its `dueAtMs`. The result tells for each postponement whether it took effect. */
  postpone(postponements: readonly TaskPostponement[]): Promise<readonly boolean[]>

  /**
   * Ends a task because its caller no longer waits for it, and voids its lease. The provider's last status and the last error stay.
   * A terminal task stays as it is. Undefined if there is no such task.
   */
  cancelTask(uid: string): Promise<Task | undefined>

  /** Newest first. */
  tasks(filter: TaskFilter, page: PageRequest): Promise<Page<Task>>

  /** Finds a task by the provider's id or by its uid. */
  task(source: string, id: string): Promise<Task | undefined>

  /** The last `MAX_QUESTIONS` questions about the task with this uid, in the order in which they were asked. */
  questions(uid: string): Promise<readonly Question[]>

  activity(source: string, sinceMs: number): Promise<SourceActivity>
}
