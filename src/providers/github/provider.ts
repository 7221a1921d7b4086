import { valueAt } from '../../domain/json.ts'
import type { RegistrationApi } from '../../domain/provider.ts'
import { bearer, registrationOf } from '../api.ts'
import { defineProvider } from '../define-provider.ts'
import { githubMismatch } from './events.ts'
import { githubSample } from './sample.ts'

const PATH = '/hooks'
const PAGE_SIZE = 100
const one = (id: string): string => `${PATH}/${encodeURIComponent(id)}`

const configOf = (url: string, secret: string) => ({ url, content_type: 'json', secret })

const readRegistration: RegistrationApi['read'] = (answer) =>
  registrationOf({
    id: valueAt(answer, 'id'),
    url: valueAt(answer, 'config.url'),
    events: valueAt(answer, 'events'),
    active: valueAt(answer, 'active'),
  })

/**
 * The webhooks of one repository or organization, which the base URL names. GitHub shows asterisks in place of the secret, so the
 * `config` that it shows must not be sent back. A new `config` replaces the old one completely, so it is sent with all its fields or
 * not at all. GitHub's name of an event is the part of Holdfast's type before the first dot. After a full page there may be another
 * page. Source: docs.github.com, REST, "Repository webhooks"; @octokit/openapi-types 29.
 */
const registrations: RegistrationApi = {
  list: (page = '1') => ({ method: 'GET', path: PATH, query: { per_page: String(PAGE_SIZE), page } }),
  readList: (answer, page = '1') =>
    Array.isArray(answer)
      ? {
          items: answer.map((each) => readRegistration(each)),
          next: answer.length < PAGE_SIZE ? undefined : String(Number(page) + 1),
        }
      : undefined,
  create: ({ url, events }, secret) => ({
    method: 'POST',
    path: PATH,
    json: { name: 'web', active: true, events, config: configOf(url, secret) },
  }),
  update: (id, { url, ...changes }, secret) => ({
    method: 'PATCH',
    path: one(id),
    json: { ...changes, ...(url !== undefined && { config: configOf(url, secret) }) },
  }),
  remove: (id) => ({ method: 'DELETE', path: one(id) }),
  read: readRegistration,
  events: ['*'],
  eventOf: (type) => type.split('.')[0] ?? type,
}

/**
 * GitHub: a hex signature over the body alone, without a timestamp. Only the delivery id shows that a request is a replay, and neither
 * that id nor the event's name is signed (see SECURITY.md). GitHub sends a delivery again only when a person requests it; the id then
 * stays the same. The type is the event's name, with the body's `action` if there is one: `issues.opened`. Source: docs.github.com,
 * "Validating webhook deliveries", "Redelivering webhooks".
 */
export default defineProvider({
  name: 'github',
  setup: [
    'In the repository or organization, open Settings, Webhooks, Add webhook, and enter the URL above.',
    'Content type: application/json. Secret: the value of SOURCE_<NAME>_SECRET.',
    'Choose the events to send. GitHub sends a ping at once.',
  ],
  missed:
    'GitHub does not send them again by itself. For 3 days a person can: open Settings, Webhooks, this webhook, Recent Deliveries, and redeliver each.',
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
  mismatch: ({ headers, body }) => githubMismatch(headers['x-github-event'] ?? '', body),
  redelivery: 'manual',
  samples: githubSample,
  api: {
    headers: (key) => ({
      ...bearer(key),
      accept: 'application/vnd.github+json',
      'x-github-api-version': '2022-11-28',
    }),
    registrations,
  },
})
