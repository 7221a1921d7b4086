import { defineProvider } from '../domain/provider.ts'

/**
 * Stripe: `t=…,v1=…` over `t.body`, hex, five minutes; the key is the whole secret, `whsec_` included, as text.
 * Source: stripe-node, Webhooks.ts, which looks at the age only; a bound on the future is harmless and Stripe's clocks keep it.
 */
export default defineProvider({
  name: 'stripe',
  verify: {
    scheme: 'hmac',
    algorithm: 'sha256',
    key: 'utf8',
    signed: '{timestamp}.{body}',
    signature: { header: 'stripe-signature', encoding: 'hex', separator: ',', labelSeparator: '=', labels: ['v1'] },
    timestamp: { from: { label: 't' }, unit: 's', pastSeconds: 300, futureSeconds: 300 },
  },
  event: {
    id: 'body:id',
    type: 'body:type',
    created_at: 'body:created',
    data: 'body:data',
    api_version: 'body:api_version',
  },
})
