import { standardWebhooks } from '../signatures/standard-webhooks.ts'
import { defineProvider } from './define-provider.ts'

/** Svix, and the senders that use it: Standard Webhooks, with Svix's header names or the standard ones. Source: docs.svix.com. */
export default defineProvider({
  name: 'svix',
  setup: [
    "In the sender's portal of endpoints, add an endpoint with the URL above and the events to send.",
    'Put its signing secret (whsec_…) into SOURCE_<NAME>_SECRET and reload.',
  ],
  missed:
    'Senders that use Svix send them again by themselves, and switch an endpoint off after 5 days of failures: then switch it on again in the portal, which also sends failed ones again.',
  verify: {
    ...standardWebhooks,
    id: ['svix-id', 'webhook-id'],
    signature: { ...standardWebhooks.signature, header: ['svix-signature', 'webhook-signature'] },
    timestamp: { ...standardWebhooks.timestamp, from: { header: ['svix-timestamp', 'webhook-timestamp'] } },
  },
  event: {
    id: ['header:svix-id', 'header:webhook-id'],
    type: ['body:type', 'body:eventType'],
    created_at: ['body:timestamp', 'header:svix-timestamp', 'header:webhook-timestamp'],
    data: ['body:data', 'body:'],
  },
})
