import { Type } from '@sinclair/typebox'
import { valueAt } from '../domain/json.ts'
import { MAX_OPEN_CALLS } from '../domain/limits.ts'
import type { ProviderApi } from '../domain/provider.ts'
import { compileSchema } from '../pipeline/schema/schema.ts'
import { closed } from '../signatures/scheme.ts'

/** A function, which JSON Schema knows nothing of: they are looked at apart. */
const Callable = Type.Unknown()

const Submit = Type.Object(
  { request: Callable, taskId: Callable, callsBack: Type.Boolean(), idempotent: Type.Boolean() },
  closed,
)

/** One in an hour: a wait between two that a timer can count. */
const MIN_POLLS_PER_SECOND = 1 / 3_600
const MAX_POLLS_PER_SECOND = 10_000

const Tasks = Type.Object(
  {
    poll: Callable,
    read: Callable,
    submit: Type.Optional(Submit),
    pushes: Type.Optional(Type.Boolean()),
    concurrency: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_OPEN_CALLS })),
    pollsPerSecond: Type.Optional(Type.Number({ minimum: MIN_POLLS_PER_SECOND, maximum: MAX_POLLS_PER_SECOND })),
  },
  closed,
)

const Registrations = Type.Object(
  {
    list: Callable,
    readList: Callable,
    create: Callable,
    update: Callable,
    remove: Callable,
    read: Callable,
    secret: Type.Optional(Callable),
    events: Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
    eventOf: Type.Optional(Callable),
  },
  closed,
)

export const checkApi = compileSchema(
  Type.Object(
    {
      url: Type.Optional(Type.String()),
      headers: Type.Optional(Callable),
      tasks: Type.Optional(Tasks),
      registrations: Type.Optional(Registrations),
    },
    closed,
  ),
)

const functions: readonly string[] = [
  'headers',
  ...['poll', 'read', 'submit.request', 'submit.taskId'].map((name) => `tasks.${name}`),
  ...['list', 'readList', 'create', 'update', 'remove', 'read', 'secret', 'eventOf'].map(
    (name) => `registrations.${name}`,
  ),
]

/** What an API of the right shape (`checkApi`) has that no schema tells. */
export const apiFaults = (api: ProviderApi): readonly string[] => [
  ...(api.url === undefined || isBaseUrl(api.url)
    ? []
    : ['/api/url must be an http(s) URL without credentials and query']),
  ...functions.flatMap((path) => functionFaults(`/api/${path.replaceAll('.', '/')}`, valueAt(api, path))),
]

/** Undefined is none; that something is there at all is for the schema to say. All are called for an answer at once. */
export function functionFaults(place: string, value: unknown): readonly string[] {
  if (value === undefined) return []
  if (typeof value !== 'function') return [`${place} must be a function`]
  return value.constructor.name === 'AsyncFunction' ? [`${place} must not be an async function`] : []
}

function isBaseUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) return false
  return `${url.username}${url.password}${url.search}${url.hash}` === ''
}
