import { catalogue } from '../../domain/event-catalogue.ts'
import { valueAt } from '../../domain/json.ts'
import type { EventReader, Registration, RegistrationApi, RegistrationChanges, TaskApi } from '../../domain/provider.ts'
import { EXPIRED_TYPE, type TaskEnding } from '../../domain/task.ts'
import { standardWebhooks } from '../../signatures/standard-webhooks.ts'
import { bearer, type EndStatuses, endsByType, getTask, registrationOf, taskAnswer } from '../api.ts'
import { defineProvider } from '../define-provider.ts'

/**
 * The generic AI API: the standard event structure `{id, type, created_at, data}`, signed by Standard Webhooks. A bare
 * `{"task_id", "status"}` is read as the event `task.<status>`.
 */
const read: EventReader = ({ headers, body }) => {
  const at = (path: string): unknown => valueAt(body, path)
  const isBare = at('type') === undefined && typeof at('task_id') === 'string' && typeof at('status') === 'string'
  if (isBare) {
    const status = spelling(at('status'))
    return {
      id: at('id') ?? headers['webhook-id'],
      type: `task.${String(status)}`,
      created_at: at('created_at'),
      data: { ...(body as object), status },
      task: at('task_id'),
    }
  }
  return {
    id: at('id') ?? headers['webhook-id'],
    type: at('type'),
    created_at: at('created_at'),
    data: at('data') ?? {},
    api_version: at('api_version'),
    task: at('data.task_id') ?? at('data.batch_id') ?? at('data.completion_id'),
  }
}

const endStatuses: EndStatuses = new Map([
  ['completed', 'completed'],
  ['failed', 'failed'],
  ['cancelled', 'cancelled'],
])

/** A task's status as the catalogue spells it; senders use both spellings of `cancelled`. */
const spelling = (status: unknown): unknown => (status === 'canceled' ? 'cancelled' : status)

/** Whether an answer names this task or no task at all. The id in the answer may be a number. */
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
const tasks: TaskApi = {
  poll: (taskId) => getTask('/tasks', taskId),
  read: (answer, taskId) =>
    isAbout(answer, taskId)
      ? taskAnswer(endStatuses, spelling(valueAt(answer, 'status')), (status) => ({
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

const ended: readonly [string, TaskEnding][] = [...endStatuses, ['canceled', 'cancelled']]

const ends = endsByType({
  task: new Map([...ended, ['expired', 'expired']]),
  batch: new Map(ended),
  completion: new Map([
    ['finished', 'completed'],
    ['failed', 'failed'],
  ]),
})

const one = (id: string): string => `/webhooks/${encodeURIComponent(id)}`

/** The tutorial's API answers with the id alone. For fields that the answer does not have, the values of the request count. */
const readRegistration = (answer: unknown, requested: RegistrationChanges = {}): Registration | undefined =>
  registrationOf({
    id: valueAt(answer, 'id'),
    url: valueAt(answer, 'url') ?? requested.url,
    events: valueAt(answer, 'events') ?? requested.events,
    active: valueAt(answer, 'active') ?? requested.active ?? true,
  })

/** The tutorial's webhook registration: `{url, events, secret}` at `/webhooks`; one page lists them all. */
const registrations: RegistrationApi = {
  list: () => ({ method: 'GET', path: '/webhooks' }),
  readList: (answer) => {
    const items = valueAt(answer, 'webhooks')
    return Array.isArray(items) ? { items: items.map((item) => readRegistration(item)) } : undefined
  },
  create: (changes, secret) => ({ method: 'POST', path: '/webhooks', json: { ...changes, secret } }),
  update: (id, changes, secret) => ({
    method: 'PATCH',
    path: one(id),
    json: { ...changes, ...(changes.url !== undefined && { secret }) },
  }),
  remove: (id) => ({ method: 'DELETE', path: one(id) }),
  read: readRegistration,
  // Holdfast itself makes `task.expired`; no provider sends it.
  events: Object.keys(catalogue).filter((type) => type !== EXPIRED_TYPE),
}

export default defineProvider({
  name: 'ai',
  setup: [
    'Register the URL above at the API: POST /webhooks with url, events and secret.',
    'The secret is the value of SOURCE_<NAME>_SECRET. Each request for a task that POST /v1/tasks submits also names the URL.',
  ],
  verify: standardWebhooks,
  event: read,
  schemas: catalogue,
  ends,
  api: { headers: bearer, tasks, registrations },
})
