import { valueAt } from '../domain/json.ts'
import type { RegistrationApi, RegistrationChanges } from '../domain/provider.ts'
import { bearer, registrationOf } from './api.ts'
import { defineProvider } from './define-provider.ts'

const PATH = '/v1/webhook_endpoints'
const one = (id: string): string => `${PATH}/${encodeURIComponent(id)}`

const formOf = ({ url, events = [], active }: RegistrationChanges): readonly (readonly [string, string])[] => [
  ...(url === undefined ? [] : [['url', url] as const]),
  ...events.map((event) => ['enabled_events[]', event] as const),
  ...(active === undefined ? [] : [['disabled', String(!active)] as const]),
]

const readRegistration: RegistrationApi['read'] = (answer) =>
  registrationOf({
    id: valueAt(answer, 'id'),
    url: valueAt(answer, 'url'),
    events: valueAt(answer, 'enabled_events'),
    active: valueAt(answer, 'status') !== 'disabled',
  })

/**
 * Requests are forms, answers are JSON. Stripe makes the secret, and shows it only in the answer to the creation. Source:
 * stripe-node 23, WebhookEndpoints.d.ts.
 */
const registrations: RegistrationApi = {
  list: (after) => ({
    method: 'GET',
    path: PATH,
    query: { limit: '100', ...(after !== undefined && { starting_after: after }) },
  }),
  readList: (answer) => {
    const data = valueAt(answer, 'data')
    if (!Array.isArray(data)) return undefined
    const items = data.map((each) => readRegistration(each))
    if (valueAt(answer, 'has_more') !== true) return { items }
    const next = valueAt(data.at(-1), 'id')
    return typeof next === 'string' ? { items, next } : undefined
  },
  create: (changes) => ({ method: 'POST', path: PATH, form: formOf(changes) }),
  update: (id, changes) => ({ method: 'POST', path: one(id), form: formOf(changes) }),
  remove: (id) => ({ method: 'DELETE', path: one(id) }),
  read: readRegistration,
  secret: (answer) => valueAt(answer, 'secret'),
  events: ['*'],
}

/**
 * Stripe: the header is `t=…,v1=…`, a hex signature over `t.body`, valid for five minutes. The key is the text of the whole secret,
 * with its `whsec_`. Source: stripe-node, Webhooks.ts, which only checks the age. Holdfast also bounds how far the time may be ahead;
 * Stripe's clocks are never so far ahead.
 */
export default defineProvider({
  name: 'stripe',
  setup: [
    'In the Stripe Dashboard, open Developers, Webhooks, and add a destination with the URL above.',
    'Choose the events to send.',
    'Stripe makes the signing secret (whsec_…): put it into SOURCE_<NAME>_SECRET and reload.',
  ],
  missed:
    'Stripe sends them again by itself, for 3 days in live mode. For 30 days, GET /v1/events?delivery_success=false of its API lists those that were not accepted.',
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
  samples: ({ id, type, data, nowMs }) => {
    const object = type.split('.')[0] ?? type
    return {
      body: {
        id,
        object: 'event',
        api_version: '2025-03-31.basil',
        created: Math.floor(nowMs / 1_000),
        livemode: false,
        pending_webhooks: 1,
        request: { id: null, idempotency_key: null },
        type,
        data: data ?? { object: { id: `${object}_123`, object } },
      },
    }
  },
  api: { url: 'https://api.stripe.com', headers: bearer, registrations },
})
