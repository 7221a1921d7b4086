import { type TOptional, type TUnknown, Type } from '@sinclair/typebox'
import { messageOf } from '../domain/errors.ts'
import { valueAt } from '../domain/json.ts'
import {
  type AnyScheme,
  apiData,
  eventMap,
  type Provider,
  type ProviderApi,
  providerData,
  type RegistrationApi,
  registrationData,
  submitData,
  type TaskApi,
  taskData,
} from '../domain/provider.ts'
import { compileSchema, type SchemaCheck } from '../pipeline/schema/schema.ts'
import { schemeFaults, schemes } from '../signatures/registry.ts'
import { closed } from '../signatures/signature-scheme.ts'

/** A function. JSON Schema cannot describe one: `functionFaults` checks it. */
const Code = Type.Unknown()
const OptionalCode = Type.Optional(Code)

/** The members of an API that are functions. With `satisfies`, each list below must name all of them and no others. */
type CodeOf<Api> = {
  [Name in keyof Api as NonNullable<Api[Name]> extends (...args: never) => unknown
    ? Name
    : never]-?: undefined extends Api[Name] ? TOptional<TUnknown> : TUnknown
}

const apiCode = { headers: OptionalCode } satisfies CodeOf<ProviderApi>
const taskCode = { poll: Code, read: Code } satisfies CodeOf<TaskApi>
const submitCode = { request: Code, taskId: Code } satisfies CodeOf<NonNullable<TaskApi['submit']>>
const registrationCode = {
  list: Code,
  readList: Code,
  create: Code,
  update: Code,
  remove: Code,
  read: Code,
  secret: OptionalCode,
  eventOf: OptionalCode,
} satisfies CodeOf<RegistrationApi>

const Submit = Type.Object({ ...submitCode, ...submitData.properties }, closed)
const Tasks = Type.Object({ ...taskCode, submit: Type.Optional(Submit), ...taskData.properties }, closed)
const Registrations = Type.Object({ ...registrationCode, ...registrationData.properties }, closed)
const Api = Type.Object(
  {
    ...apiData.properties,
    ...apiCode,
    tasks: Type.Optional(Tasks),
    registrations: Type.Optional(Registrations),
  },
  closed,
)

const SchemeName = Type.String({ pattern: `^(${schemes.map(({ name }) => name).join('|')})$` })
const providerCode = {
  mismatch: OptionalCode,
  ends: OptionalCode,
  samples: OptionalCode,
} satisfies CodeOf<Omit<Provider, 'event'>>

const checkModule = compileSchema(
  Type.Object(
    {
      ...providerData.properties,
      ...providerCode,
      verify: Type.Object({ scheme: SchemeName }),
      event: Type.Unknown(),
      schemas: Type.Optional(Type.Record(Type.String(), Type.Object({}))),
      api: Type.Optional(Type.Object({})),
    },
    closed,
  ),
)
const schemeChecks = new Map(schemes.map(({ name, schema }): [string, SchemaCheck] => [name, compileSchema(schema)]))
const checkEventMap = compileSchema(eventMap)
const checkApi = compileSchema(Api)

/** Why a module's default export is not a provider, one sentence for each fault; empty if it is one. */
export function providerFaults(value: unknown): readonly string[] {
  const faults = faultsOf('', checkModule, value)
  if (faults.length > 0) return faults
  const provider = value as Provider
  const { verify, event, schemas = {}, api = {} } = provider
  if (typeof event !== 'function') faults.push(...faultsOf('/event', checkEventMap, event))
  else faults.push(...functionFaults('/event', event))
  faults.push(...verifyFaults(verify))
  for (const [type, schema] of Object.entries(schemas)) {
    try {
      compileSchema(schema)
    } catch (error) {
      faults.push(`/schemas/${type}: ${messageOf(error)}`)
    }
  }
  faults.push(...namesOf(providerCode).flatMap((name) => functionFaults(`/${name}`, valueAt(provider, name))))
  const shapeFaults = faultsOf('/api', checkApi, api)
  faults.push(...(shapeFaults.length > 0 ? shapeFaults : apiFaults(api)))
  return faults
}

function verifyFaults(verify: AnyScheme): readonly string[] {
  const check = schemeChecks.get(verify.scheme)
  const faults = check === undefined ? [] : faultsOf('/verify', check, verify)
  return faults.length > 0 ? faults : schemeFaults(verify).map((fault) => `/verify: ${fault}`)
}

/** A check stops at the first fault. If it gives several sentences, each is about another alternative for the same value. */
function faultsOf(place: string, check: SchemaCheck, value: unknown): string[] {
  const alternatives = [...new Set(check(value))].filter((fault) => !fault.endsWith(' must match a schema in anyOf'))
  const placed = alternatives.map((fault) =>
    fault.startsWith('/ ') ? `${place || '/'}${fault.slice(1)}` : place + fault,
  )
  return placed.length === 0 ? [] : [placed.join(', or ')]
}

const namesOf = (code: object): readonly string[] => Object.keys(code)

const apiFunctions: readonly string[] = [
  ...namesOf(apiCode),
  ...namesOf(taskCode).map((name) => `tasks.${name}`),
  ...namesOf(submitCode).map((name) => `tasks.submit.${name}`),
  ...namesOf(registrationCode).map((name) => `registrations.${name}`),
]

/** The faults of an API that its schema cannot find. */
const apiFaults = (api: ProviderApi): readonly string[] => [
  ...(api.url === undefined || isBaseUrl(api.url)
    ? []
    : ['/api/url must be an http(s) URL without credentials and query']),
  ...apiFunctions.flatMap((path) => functionFaults(`/api/${path.replaceAll('.', '/')}`, valueAt(api, path))),
]

/** Functions must be synchronous. Undefined is no fault here: the schema finds a missing required function. */
function functionFaults(place: string, value: unknown): readonly string[] {
  if (value === undefined) return []
  if (typeof value !== 'function') return [`${place} must be a function`]
  return value.constructor.name === 'AsyncFunction' ? [`${place} must not be an async function`] : []
}

function isBaseUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) return false
  return `${url.username}${url.password}${url.search}${url.hash}` === ''
}
