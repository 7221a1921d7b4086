import { defineProvider } from '../domain/provider.ts'
import { standardWebhooks } from '../signatures/schemes.ts'

/** Anthropic: Standard Webhooks; the body's `type` is always `event`, what happened is in `data.type`. Source: anthropic-sdk-typescript. */
export default defineProvider({
  name: 'anthropic',
  verify: standardWebhooks,
  event: {
    id: ['body:id', 'header:webhook-id'],
    type: ['body:data.type', 'body:type'],
    created_at: 'body:created_at',
    data: 'body:data',
    task: 'body:data.id',
  },
})
