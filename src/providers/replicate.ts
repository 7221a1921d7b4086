import { valueAt } from '../domain/json.ts'
import type { TaskApi } from '../domain/provider.ts'
import { standardWebhooks } from '../signatures/standard-webhooks.ts'
import { defineProvider } from './define-provider.ts'
import { bearer } from './registration.ts'
import { answerBy, askFor, endsByType, type Words } from './task-answer.ts'

/** `aborted`: its deadline passed before it started; `canceled`, after. Source: replicate.com/docs, "Prediction lifecycle". */
const words: Words = new Map([
  ['succeeded', 'completed'],
  ['failed', 'failed'],
  ['canceled', 'cancelled'],
  ['aborted', 'cancelled'],
])

const timeOf = (prediction: unknown): unknown =>
  valueAt(prediction, 'completed_at') ?? valueAt(prediction, 'started_at') ?? valueAt(prediction, 'created_at')

/**
 * `POST /predictions` runs any model, its `version` being an id, `owner/name` or `owner/name:id`. 3,000 requests a minute
 * may be spent on all but creating. Source: replicate.com/docs/reference/http.
 */
const tasks: TaskApi = {
  poll: (taskId) => askFor('/predictions', taskId),
  read: (answer, taskId) =>
    valueAt(answer, 'id') === taskId
      ? answerBy(words, valueAt(answer, 'status'), (word) => ({
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
 * Replicate: Standard Webhooks around a bare prediction, which names no event type; it is `prediction.<status>`. All events
 * of one prediction share its `id`, so they are told apart by their `webhook-id`; those of its start, output and logs have
 * a status that ends nothing. Source: replicate.com/docs/topics/webhooks.
 */
export default defineProvider({
  name: 'replicate',
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
  ends: endsByType({ prediction: words }),
  api: { url: 'https://api.replicate.com/v1', headers: bearer, tasks },
})
