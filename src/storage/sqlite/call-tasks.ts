import type { TaskStore } from '../../domain/task-store.ts'
import type { StoreThreads } from './store-threads.ts'

/** What is read about tasks, in the reader thread. */
export function callReadTasks(threads: StoreThreads): Pick<TaskStore, 'tasks' | 'task' | 'questions' | 'activity'> {
  const { reads } = threads
  const refusing = () => threads.refusing()
  return {
    tasks: async (filter, page) => refusing() ?? reads.call('tasks', filter, page),
    task: async (source, id) => refusing() ?? reads.call('task', source, id),
    questions: async (uid) => refusing() ?? reads.call('questions', uid),
    activity: async (source, sinceMs) => refusing() ?? reads.call('activity', source, sinceMs),
  }
}
