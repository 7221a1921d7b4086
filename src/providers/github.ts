import { valueAt } from '../domain/json.ts'
import { defineProvider } from '../domain/provider.ts'

/**
 * GitHub: hex over the body alone, with no timestamp, so that a replayed request is told by its delivery id only. The id is
 * the same on redelivery. What happened is the event's name, with the body's `action` where there is one: `issues.opened`.
 * Source: docs.github.com, "Validating webhook deliveries".
 */
export default defineProvider({
  name: 'github',
  verify: {
    scheme: 'hmac',
    algorithm: 'sha256',
    key: 'utf8',
    signed: '{body}',
    signature: { header: 'x-hub-signature-256', encoding: 'hex', labelSeparator: '=', labels: ['sha256'] },
  },
  event: ({ headers, body }) => {
    const name = headers['x-github-event']
    const action = valueAt(body, 'action')
    return {
      id: headers['x-github-delivery'],
      type: name !== undefined && typeof action === 'string' ? `${name}.${action}` : name,
      data: body,
    }
  },
})
