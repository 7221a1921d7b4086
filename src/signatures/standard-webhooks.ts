import { randomBytes } from 'node:crypto'
import { type HmacScheme, STANDARD_PREFIX } from './hmac.ts'

/**
 * Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, in base64, as a list of `v1,…`. The time may differ by five minutes in
 * either direction.
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

/** Bytes of the key of a new secret; Standard Webhooks asks for 24 to 64. */
const NEW_KEY_BYTES = 32

/** A new secret, as Standard Webhooks writes one. */
export const newStandardSecret = (): string => `${STANDARD_PREFIX}${randomBytes(NEW_KEY_BYTES).toString('base64')}`
