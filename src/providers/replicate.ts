import { valueAt } from '../domain/json.ts'
import type { TaskApi } from '../domain/provider.ts'
import { standardWebhooks } from '../signatures/standard-webhooks.ts'
import { bearer, type EndStatuses, endsByType, getTask, taskAnswer } from './api.ts'
import { defineProvider } from './define-provider.ts'

/**
 * `aborted`: the prediction's deadline passed before it started; `canceled`: it was ended after it had started. Source:
 * replicate.com/docs, "Prediction lifecycle".
 */
const endStatuses: EndStatuses = new Map([
  ['succeeded', 'completed'],
  ['failed', 'failed'],
  ['canceled', 'cancelled'],
  ['aborted', 'cancelled'],
])

const timeOf = (prediction: unknown): unknown =>
  valueAt(prediction, 'completed_at') ?? valueAt(prediction, 'started_at') ?? valueAt(prediction, 'created_at')

/**
 * `POST /predictions` runs any model; `version` is an id, `owner/name` or `owner/name:id`. Replicate allows 3,000 requests a minute,
 * without those that create predictions. Source: replicate.com/docs/reference/http.
 */
const tasks: TaskApi = {
  poll: (taskId) => getTask('/predictions', taskId),
  read: (answer, taskId) =>
    valueAt(answer, 'id') === taskId
      ? taskAnswer(endStatuses, valueAt(answer, 'status'), (word) => ({
          type: `prediction.${word}`,
          data: answer,
          created_at: timeOf(answer),
        }))
      : undefined,
  submit: {
    request: ({ request, webhookUrl }) => ({
      method: 'POST',
      path: '/predictions',
      json: { webhook_events_filter: ['completed'], ...request, webhook: webhookUrl },
    }),
    taskId: (answer) => valueAt(answer, 'id'),
    callsBack: true,
    idempotent: false,
  },
  pollsPerSecond: 40,
}

/**
 * Replicate: Standard Webhooks whose body is a prediction and names no event type, so the type is `prediction.<status>`. All events
 * of one prediction have the prediction's `id`, so the `webhook-id` identifies an event. The status of events about start, output
 * and logs does not end the task. Source: replicate.com/docs/topics/webhooks.
 */
export default defineProvider({
  name: 'replicate',
  setup: [
    'Nothing is registered: each prediction names the URL. Begin predictions by POST /v1/tasks, which adds it, or send the URL as `webhook`.',
    'Read the signing secret from GET /v1/webhooks/default/secret of its API, put it into SOURCE_<NAME>_SECRET and reload.',
  ],
  missed:
    'Replicate sends only the last event of a prediction again, for about a minute. For tasks that began by POST /v1/tasks the service asks its API.',
  verify: standardWebhooks,
  event: ({ headers, body }) => {
    const status = valueAt(body, 'status')
    return {
      id: headers['webhook-id'],
      type: typeof status === 'string' && status !== '' ? `prediction.${status}` : undefined,
      created_at: timeOf(body),
      data: body,
      task: valueAt(body, 'id'),
    }
  },
  ends: endsByType({ prediction: endStatuses }),
  samples: ({ id, type, data = { input: { prompt: 'a lighthouse' }, output: ['a sample'], error: null }, nowMs }) => ({
    headers: { 'webhook-id': id },
    body: {
      id: 'ufawqhfynnddngldkgtslldrkq',
      version: '5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa',
      created_at: new Date(nowMs).toISOString(),
      ...data,
      status: type.slice(type.indexOf('.') + 1),
    },
  }),
  api: { url: 'https://api.replicate.com/v1', headers: bearer, tasks },
})
