import type { Page, PageRequest } from './page.ts'
import type { Task } from './task.ts'
import type { TaskFilter } from './task-store.ts'

/** A task to be begun: one that the caller has submitted (`taskId`), or one that Holdfast is to submit. */
export interface TaskOrder {
  readonly source: string
  /** `submit`: the caller's request as it came; whether it is the JSON of an object is checked when the task begins. */
  readonly work: { readonly taskId: string } | { readonly submit: string }
  readonly maxWaitMs?: number
  readonly deadlineMs?: number
  readonly metadata?: Readonly<Record<string, unknown>>
  /** `beside`: all of the caller's request but `submit`. */
  readonly idempotency?: { readonly key: string; readonly beside: object }
}

/**
 * What callers do with tasks. Tasks are named by source and the provider's id, or ours. Errors: `unknown_source`,
 * `task_not_found`, `unavailable`, and those named.
 */
export interface TaskService {
  /**
   * Begins a task, or gives the one that is known by its idempotency key or its id (`created` false). Rejects with
   * `invalid_request`, `not_configured`, `idempotency_mismatch`, or `provider_failed` where the provider refused it.
   */
  begin(order: TaskOrder): Promise<{ readonly task: Task; readonly created: boolean }>
  list(filter: TaskFilter, page: PageRequest): Promise<Page<Task>>
  /** Gives the task as soon as it is terminal, or after `waitMs` in the state that it has then. */
  show(source: string, id: string, waitMs: number, signal: AbortSignal): Promise<Task>
  /** Gives the task up; a terminal one stays as it is. */
  cancel(source: string, id: string): Promise<Task>
  /** Asks the provider now. Rejects with `not_configured`, or `conflict` while another poll of it is under way. */
  poll(source: string, id: string): Promise<Task>
}
