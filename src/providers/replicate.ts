import { valueAt } from '../domain/json.ts'
import { defineProvider } from '../domain/provider.ts'
import { standardWebhooks } from '../signatures/schemes.ts'

/**
 * Replicate: Standard Webhooks around a bare prediction, which names no event type; it is `prediction.<status>`. All events
 * of one prediction share its `id`, so they are told apart by their `webhook-id`. Source: replicate.com/docs/topics/webhooks.
 */
export default defineProvider({
  name: 'replicate',
  verify: standardWebhooks,
  event: ({ headers, body }) => {
    const status = valueAt(body, 'status')
    return {
      id: headers['webhook-id'],
      type: typeof status === 'string' && status !== '' ? `prediction.${status}` : undefined,
      created_at: valueAt(body, 'completed_at') ?? valueAt(body, 'started_at') ?? valueAt(body, 'created_at'),
      data: body,
      task: valueAt(body, 'id'),
    }
  },
})
