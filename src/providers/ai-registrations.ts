import { catalogue } from '../domain/catalogue.ts'
import { valueAt } from '../domain/json.ts'
import type { Registration, RegistrationApi, RegistrationChanges } from '../domain/provider.ts'
import { EXPIRED_TYPE } from '../domain/task.ts'
import { registrationOf } from './registration.ts'

const one = (id: string): string => `/webhooks/${encodeURIComponent(id)}`

/** The tutorial goes by the id alone: what the answer leaves out is as it was asked for. */
const readRegistration = (answer: unknown, asked: RegistrationChanges = {}): Registration | undefined =>
  registrationOf({
    id: valueAt(answer, 'id'),
    url: valueAt(answer, 'url') ?? asked.url,
    events: valueAt(answer, 'events') ?? asked.events,
    active: valueAt(answer, 'active') ?? asked.active ?? true,
  })

/** The tutorial's webhook registration: `{url, events, secret}` at `/webhooks`, all in one list. */
export const aiRegistrations: RegistrationApi = {
  list: () => ({ method: 'GET', path: '/webhooks' }),
  readList: (answer) => {
    const items = valueAt(answer, 'webhooks')
    return Array.isArray(items) ? { items: items.map((item) => readRegistration(item)) } : undefined
  },
  create: (wish, secret) => ({ method: 'POST', path: '/webhooks', json: { ...wish, secret } }),
  update: (id, wish, secret) => ({
    method: 'PATCH',
    path: one(id),
    json: { ...wish, ...(wish.url !== undefined && { secret }) },
  }),
  remove: (id) => ({ method: 'DELETE', path: one(id) }),
  read: readRegistration,
  // A task expires with us, which no provider tells.
  events: Object.keys(catalogue).filter((type) => type !== EXPIRED_TYPE),
}
