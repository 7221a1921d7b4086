import type { Page, PageRequest } from './page.ts'
import type { Task } from './task.ts'
import type { Question } from './task-question.ts'
import type { TaskFilter } from './task-store.ts'

/** A request to begin a task: one that the caller has submitted (`taskId`), or one that Holdfast is to submit (`submit`). */
export interface TaskOrder {
  readonly source: string
  /** `submit`: the caller's request, unchanged. `begin` checks whether it is the JSON of an object. */
  readonly work: { readonly taskId: string } | { readonly submit: string }
  readonly maxWaitMs?: number
  readonly deadlineMs?: number
  readonly metadata?: Readonly<Record<string, unknown>>
  /** `beside`: the caller's request without `submit`. */
  readonly idempotency?: { readonly key: string; readonly beside: object }
}

/**
 * The operations on tasks that callers have. A task is named by its source and an id: the provider's, or the task's uid. Every method
 * may reject with `unknown_source`, `task_not_found` or `unavailable`; further codes stand at the method.
 */
export interface TaskService {
  /**
   * Begins a task. If one with the same idempotency key or id exists, gives that task, and `created` is false. Rejects with
   * `invalid_request`, `not_configured` or `idempotency_mismatch`, and with `provider_failed` if the provider refused the task.
   */
  begin(order: TaskOrder): Promise<{ readonly task: Task; readonly created: boolean }>
  list(filter: TaskFilter, page: PageRequest): Promise<Page<Task>>
  /** Resolves with the task as soon as it is terminal, or after `waitMs` with its state then. */
  show(source: string, id: string, waitMs: number, signal: AbortSignal): Promise<Task>
  /** The last questions about the task, as `TaskStore.questions` gives them. */
  questions(task: Task): Promise<readonly Question[]>
  /** Ends a task that its caller no longer waits for. A terminal task stays as it is. */
  cancel(source: string, id: string): Promise<Task>
  /**
   * Polls the provider now. Rejects with `not_configured`, or with `conflict` while another poll of the task runs, while the circuit
   * to the provider is open, or if the task has no id by which the provider could be asked.
   */
  poll(source: string, id: string): Promise<Task>
}
