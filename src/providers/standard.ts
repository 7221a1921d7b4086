import { standardWebhooks } from '../signatures/standard-webhooks.ts'
import { defineProvider } from './define-provider.ts'

/** Any sender that follows Standard Webhooks: `{type, timestamp, data}`, identified by its `webhook-id`. */
export default defineProvider({
  name: 'standard',
  verify: standardWebhooks,
  event: { id: 'header:webhook-id', type: 'body:type', created_at: 'body:timestamp', data: ['body:data', 'body:'] },
})
