import { valueAt } from '../domain/json.ts'
import type { TaskApi } from '../domain/provider.ts'
import type { TaskEnding } from '../domain/task.ts'
import { answerBy, askFor, endsByType, type Words } from './task-answer.ts'

const words: Words = new Map([
  ['completed', 'completed'],
  ['failed', 'failed'],
  ['cancelled', 'cancelled'],
])

/** A task's status as the catalogue has it: both spellings of `cancelled` are about. */
export const spelling = (status: unknown): unknown => (status === 'canceled' ? 'cancelled' : status)

/** Whether an answer names no task, or this one; an id may be a number. */
function isAbout(answer: unknown, taskId: string): boolean {
  const named = valueAt(answer, 'task_id') ?? valueAt(answer, 'id') ?? taskId
  return named === taskId || (typeof named === 'number' && String(named) === taskId)
}

const timeOf = (answer: unknown): unknown =>
  valueAt(answer, 'completed_at') ??
  valueAt(answer, 'finished_at') ??
  valueAt(answer, 'updated_at') ??
  valueAt(answer, 'created_at')

/** The tutorial's API: `POST /tasks` answers `{"task_id"}`, `GET /tasks/{id}` answers `{"status", …}`. */
export const aiTasks: TaskApi = {
  poll: (taskId) => askFor('/tasks', taskId),
  read: (answer, taskId) =>
    isAbout(answer, taskId)
      ? answerBy(words, spelling(valueAt(answer, 'status')), (status) => ({
          type: `task.${status}`,
          data: { ...(answer as object), task_id: taskId, status },
          created_at: timeOf(answer),
        }))
      : undefined,
  submit: {
    request: ({ request, webhookUrl }) => ({
      method: 'POST',
      path: '/tasks',
      json: { ...request, webhook_url: webhookUrl },
    }),
    taskId: (answer) => valueAt(answer, 'task_id'),
    callsBack: true,
    idempotent: true,
  },
}

const ended: readonly [string, TaskEnding][] = [...words, ['canceled', 'cancelled']]

export const aiEnds = endsByType({
  task: new Map([...ended, ['expired', 'expired']]),
  batch: new Map(ended),
  completion: new Map([
    ['finished', 'completed'],
    ['failed', 'failed'],
  ]),
})
