import { valueAt } from '../domain/json.ts'
import type { RegistrationApi } from '../domain/provider.ts'
import { defineProvider } from './define-provider.ts'
import { githubMismatch } from './github-events.ts'
import { bearer, registrationOf } from './registration.ts'

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
 * Of one repository or organization, as the base URL names it. GitHub is told the secret and shows it as asterisks ever
 * after, so it is never sent back; `config` replaces all of what was, which is why it goes out whole or not at all. An event
 * here is what comes before the first dot of ours. There may be more after a page that is full. Source:
 * docs.github.com, REST, "Repository webhooks"; @octokit/openapi-types 29.
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
 * GitHub: hex over the body alone, with no timestamp, so that a replayed request is told by its delivery id only, which is not
 * signed, as little as the event's name (see SECURITY.md). The id is the same on redelivery, for which a person asks: GitHub
 * does not try again by itself. What happened is the event's name, with the body's `action` where there is one:
 * `issues.opened`. Source: docs.github.com, "Validating webhook deliveries", "Redelivering webhooks".
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
  mismatch: ({ headers, body }) => githubMismatch(headers['x-github-event'] ?? '', body),
  redelivery: 'manual',
  api: {
    headers: (key) => ({
      ...bearer(key),
      accept: 'application/vnd.github+json',
      'x-github-api-version': '2022-11-28',
    }),
    registrations,
  },
})
