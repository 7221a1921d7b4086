import { standardWebhooks } from '../signatures/standard-webhooks.ts'
import { defineProvider } from './define-provider.ts'

/** Any sender that follows Standard Webhooks: `{type, timestamp, data}`, identified by its `webhook-id`. */
export default defineProvider({
  name: 'standard',
  setup: [
    "In the sender's settings of webhooks, enter the URL above.",
    'Sender and SOURCE_<NAME>_SECRET must have the same secret (whsec_…): where the sender makes it, put it there and reload.',
  ],
  verify: standardWebhooks,
  event: { id: 'header:webhook-id', type: 'body:type', created_at: 'body:timestamp', data: ['body:data', 'body:'] },
})
