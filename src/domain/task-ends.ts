import type { EndedTask } from './task.ts'

/** The ids of a task. */
export interface TaskName {
  readonly uid: string
  readonly source: string
  /** The provider's id, if it has one. */
  readonly id: string | null
}

/** Reports the ends of tasks. */
export interface TaskEnds {
  /** Calls the listener after each commit of this process that ended tasks, once for each task. */
  onTaskEnded(listener: (ended: EndedTask) => void): void

  /**
   * Calls the listener for tasks that other processes end in the same database, soon after their commit. It may also report tasks
   * that this process has ended. Ends when the caller calls the returned function. Costs one query at an interval, for any number of
   * waiting callers.
   */
  watchEnds(listener: (ended: TaskName) => void): () => void
}
