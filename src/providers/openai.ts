import { standardWebhooks } from '../signatures/standard-webhooks.ts'
import { defineProvider } from './define-provider.ts'
import { openaiRegistrations } from './openai-registrations.ts'
import { openaiEnds, openaiTasks } from './openai-tasks.ts'
import { bearer } from './registration.ts'

/**
 * OpenAI: Standard Webhooks, but a secret without `whsec_` is taken as it is written. The `webhook-id` stays the same over
 * redeliveries and differs from the body's `id`. Types are left open: OpenAI's own lists disagree. Source: openai-node 7.
 */
export default defineProvider({
  name: 'openai',
  verify: { ...standardWebhooks, key: 'whsec-or-utf8' },
  event: {
    id: 'header:webhook-id',
    type: 'body:type',
    created_at: 'body:created_at',
    data: 'body:data',
    task: 'body:data.id',
  },
  ends: openaiEnds,
  api: { url: 'https://api.openai.com/v1', headers: bearer, tasks: openaiTasks, registrations: openaiRegistrations },
})
