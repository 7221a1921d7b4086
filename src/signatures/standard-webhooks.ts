import type { HmacScheme } from './hmac.ts'

/**
 * Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, base64 in a list of `v1,…`, five minutes either way.
 * Source: standard-webhooks/spec/standard-webhooks.md.
 */
export const standardWebhooks = {
  scheme: 'hmac',
  algorithm: 'sha256',
  key: 'whsec',
  signed: '{id}.{timestamp}.{body}',
  id: 'webhook-id',
  signature: { header: 'webhook-signature', encoding: 'base64', separator: ' ', labelSeparator: ',', labels: ['v1'] },
  timestamp: { from: { header: 'webhook-timestamp' }, unit: 's', pastSeconds: 300, futureSeconds: 300 },
} as const satisfies HmacScheme
