import { catalogue } from '../domain/catalogue.ts'
import { valueAt } from '../domain/json.ts'
import type { EventReader } from '../domain/provider.ts'
import { standardWebhooks } from '../signatures/standard-webhooks.ts'
import { aiRegistrations } from './ai-registrations.ts'
import { aiEnds, aiTasks, spelling } from './ai-tasks.ts'
import { defineProvider } from './define-provider.ts'
import { bearer } from './registration.ts'

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

export default defineProvider({
  name: 'ai',
  verify: standardWebhooks,
  event: read,
  schemas: catalogue,
  ends: aiEnds,
  api: { headers: bearer, tasks: aiTasks, registrations: aiRegistrations },
})
