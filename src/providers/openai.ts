import { valueAt } from '../domain/json.ts'
import type { ApiRequest } from '../domain/outbound.ts'
import type { RegistrationApi, Submission, TaskApi } from '../domain/provider.ts'
import { standardWebhooks } from '../signatures/standard-webhooks.ts'
import { bearer, type EndStatuses, endsByType, getTask, registrationOf, taskAnswer } from './api.ts'
import { defineProvider } from './define-provider.ts'

/** A kind of task, which the prefix of its id tells: its path in the API, the beginning of its event types, and the statuses that end it. */
interface Kind {
  readonly prefix: string
  readonly path: string
  readonly type: string
  readonly endStatuses: EndStatuses
}

/** Source: openai-node 7; legacy fine-tuning jobs (`ft-…`) had another API. */
const kinds: readonly Kind[] = [
  {
    prefix: 'resp_',
    path: '/responses',
    type: 'response',
    endStatuses: new Map([
      ['completed', 'completed'],
      ['failed', 'failed'],
      ['cancelled', 'cancelled'],
      ['incomplete', 'failed'],
    ]),
  },
  {
    prefix: 'batch_',
    path: '/batches',
    type: 'batch',
    endStatuses: new Map([
      ['completed', 'completed'],
      ['failed', 'failed'],
      ['cancelled', 'cancelled'],
      ['expired', 'failed'],
    ]),
  },
  {
    prefix: 'ftjob-',
    path: '/fine_tuning/jobs',
    type: 'fine_tuning.job',
    endStatuses: new Map([
      ['succeeded', 'completed'],
      ['failed', 'failed'],
      ['cancelled', 'cancelled'],
    ]),
  },
]

const kindOf = (taskId: string): Kind | undefined => kinds.find(({ prefix }) => taskId.startsWith(prefix))

/** `completed_at`, `expired_at` and so on. A fine-tuning job has `finished_at` for every end; a response has a time only for success. */
const timeOf = (answer: unknown, word: string): unknown =>
  valueAt(answer, `${word}_at`) ?? valueAt(answer, 'finished_at')

/**
 * The fields of the request decide the endpoint. A response becomes a task because it runs in the background. Undefined for a
 * streamed response, whose answer has no id to read, and for one with `store: false`, which OpenAI deletes after about ten minutes.
 * Source: developers.openai.com, "Background mode".
 */
function create({ request }: Submission): ApiRequest | undefined {
  const has = (field: string): boolean => (valueAt(request, field) ?? null) !== null
  if (has('input_file_id')) return { method: 'POST', path: '/batches', json: request }
  if (has('training_file')) return { method: 'POST', path: '/fine_tuning/jobs', json: request }
  if (!has('model') && !has('prompt')) return undefined
  if (valueAt(request, 'store') === false || valueAt(request, 'stream') === true) return undefined
  return { method: 'POST', path: '/responses', json: { ...request, background: true } }
}

/** Webhooks are registered for a project; a request cannot name a webhook's URL. OpenAI does not document an `Idempotency-Key`. */
const tasks: TaskApi = {
  poll: (taskId) => {
    const kind = kindOf(taskId)
    return kind && getTask(kind.path, taskId)
  },
  read: (answer, taskId) => {
    const kind = kindOf(taskId)
    if (kind === undefined || valueAt(answer, 'id') !== taskId) return undefined
    return taskAnswer(kind.endStatuses, valueAt(answer, 'status'), (word) => ({
      type: `${kind.type}.${word}`,
      data: answer,
      created_at: timeOf(answer, word),
    }))
  },
  submit: { request: create, taskId: (answer) => valueAt(answer, 'id'), callsBack: false, idempotent: false },
}

const ends = endsByType(Object.fromEntries(kinds.map(({ type, endStatuses }) => [type, endStatuses])))

/** The events that report the end of a task. Which other events exist depends on the project; the operator names them with `--events`. */
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
 * OpenAI makes the secret, and shows it only in the answer to the creation. A registration cannot be switched off. Source:
 * openai-node 7, resources/webhooks; the page size is the largest that the API reference allows.
 */
const registrations: RegistrationApi = {
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

/**
 * OpenAI: Standard Webhooks, but the key of a secret without `whsec_` is its text. The `webhook-id` is the same for each redelivery,
 * and is not the body's `id`. There are no schemas by type, because OpenAI's own lists of types disagree. Source: openai-node 7.
 */
export default defineProvider({
  name: 'openai',
  setup: [
    'In the settings of the project, open Webhooks and create one with the URL above and the events to send.',
    'OpenAI makes the signing secret (whsec_…): put it into SOURCE_<NAME>_SECRET and reload.',
  ],
  missed: 'OpenAI sends them again by itself, for up to 72 hours.',
  verify: { ...standardWebhooks, key: 'whsec-or-utf8' },
  event: {
    id: 'header:webhook-id',
    type: 'body:type',
    created_at: 'body:created_at',
    data: 'body:data',
    task: 'body:data.id',
  },
  ends,
  api: { url: 'https://api.openai.com/v1', headers: bearer, tasks, registrations },
})
