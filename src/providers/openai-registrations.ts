import { valueAt } from '../domain/json.ts'
import type { RegistrationApi } from '../domain/provider.ts'
import { registrationOf } from './registration.ts'

/** The ends of work that one asks for and waits for. What else there is depends on the project, and is asked for by name. */
const EVENTS = [
  ...['completed', 'failed', 'cancelled', 'incomplete'].map((end) => `response.${end}`),
  ...['completed', 'failed', 'expired', 'cancelled'].map((end) => `batch.${end}`),
  ...['succeeded', 'failed', 'cancelled'].map((end) => `fine_tuning.job.${end}`),
  ...['succeeded', 'failed', 'canceled'].map((end) => `eval.run.${end}`),
]

const PATH = '/webhook_endpoints'
const one = (id: string): string => `${PATH}/${encodeURIComponent(id)}`

const readRegistration: RegistrationApi['read'] = (answer) =>
  registrationOf({
    id: valueAt(answer, 'id'),
    url: valueAt(answer, 'url'),
    events: valueAt(answer, 'event_types'),
    active: true,
  })

/**
 * The secret is OpenAI's, told at creation only. There is no switch: what is registered is active. Source: openai-node 7,
 * resources/webhooks; a page's size is the largest that the API reference allows.
 */
export const openaiRegistrations: RegistrationApi = {
  list: (after) => ({ method: 'GET', path: PATH, query: { limit: '100', ...(after !== undefined && { after }) } }),
  readList: (answer) => {
    const data = valueAt(answer, 'data')
    if (!Array.isArray(data)) return undefined
    const items = data.map((each) => readRegistration(each))
    if (valueAt(answer, 'has_more') !== true) return { items }
    const next = valueAt(answer, 'last_id') ?? valueAt(data.at(-1), 'id')
    return typeof next === 'string' ? { items, next } : undefined
  },
  create: ({ url, events }) => ({ method: 'POST', path: PATH, json: { name: 'Holdfast', url, event_types: events } }),
  update: (id, { url, events, active }) =>
    active === undefined
      ? {
          method: 'POST',
          path: one(id),
          json: { ...(url !== undefined && { url }), ...(events !== undefined && { event_types: events }) },
        }
      : undefined,
  remove: (id) => ({ method: 'DELETE', path: one(id) }),
  read: readRegistration,
  secret: (answer) => valueAt(answer, 'signing_secret'),
  events: EVENTS,
}
