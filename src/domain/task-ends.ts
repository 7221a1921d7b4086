import type { EndedTask } from './task.ts'

/** What a task is known by. */
export interface TaskName {
  readonly uid: string
  readonly source: string
  /** The provider's id, if it has one. */
  readonly id: string | null
}

/** Word of tasks that end. */
export interface TaskEnds {
  /** Calls the listener after each commit of this store's that ended a task, once for each task. */
  onTaskEnded(listener: (ended: EndedTask) => void): void

  /**
   * Calls the listener for tasks that other processes end in the same database, soon after their commit, until the returned
   * function is called; it may repeat tasks that this store ended. Costs one look at the database now and then, however many
   * wait.
   */
  watchEnds(listener: (ended: TaskName) => void): () => void
}
