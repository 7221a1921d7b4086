import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../domain/errors.ts'
import type { Headers, Origin, WebhookEvent } from '../domain/event.ts'
import type { CatalogueType } from '../domain/event-catalogue.ts'
import { bodyOfFixture, type EventFixture, fixtureFaults } from '../domain/event-fixture.ts'
import { newUid } from '../domain/names.ts'
import { nearestName } from '../domain/nearest-name.ts'
import type { Provider } from '../domain/provider.ts'
import { findFields } from '../pipeline/read-event.ts'
import { shippedProviders } from '../providers/index.ts'
import * as shipped from '../providers/samples/index.ts'
import { sampleFault, signedSample } from '../providers/samples.ts'
import { secretHeaders } from '../signatures/registry.ts'

/** An event before it is read: a request as the service keeps it. `sample` and `recorded` make one. */
export interface TestEvent {
  /** The module that reads it. */
  readonly provider: Provider
  readonly source: string
  readonly origin: Origin
  /** RFC 3339. */
  readonly received_at: string
  /** Names in lower case. */
  readonly headers: Headers
  /** The exact bytes. */
  readonly body: Buffer
  /** Of a recorded event, what the service knew of it beside its bytes. */
  readonly recorded?: Pick<EventFixture, 'uid' | 'id' | 'type' | 'task'>
}

/** An event by its fields. Its body is these fields as JSON. */
export interface PlainEvent<Type extends string = string, Data = unknown>
  extends Partial<Omit<WebhookEvent, 'type' | 'data' | 'raw' | 'created_at_source' | 'headers'>> {
  readonly headers?: Headers
  readonly type: Type
  readonly data: Data
}

/** A key that every signature scheme takes: it is text, base64 and hex. It protects nothing. */
const SAMPLE_KEY = '5a4d'.repeat(16)
const SAMPLE_URL = 'https://webhooks.example/v1/webhooks/'

/**
 * A sample event in the form in which its provider sends it, with `data` in place of the usual sample data. `provider`: the name of a
 * shipped provider, or a provider module. Throws `TypeError` if there is no such provider, or if it has no such event.
 */
export function sample(
  provider: string | Provider,
  type: CatalogueType | (string & {}),
  data?: Readonly<Record<string, unknown>>,
): TestEvent {
  const module = moduleOf(provider)
  const url = `${SAMPLE_URL}${module.name}`
  const { headers, body } = signedSample(module, { type, data, secret: SAMPLE_KEY, url, shipped })
  const fault = sampleFault(module, { headers, body }, type)
  if (fault !== undefined) throw new TypeError(fault)
  const hidden = secretHeaders(module.verify)
  return {
    provider: module,
    source: module.name,
    origin: 'webhook',
    received_at: new Date().toISOString(),
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !hidden.includes(name))),
    body,
  }
}

/**
 * An event that `holdfast events export` wrote. A path is relative to the working directory. `provider`: the module that reads the
 * event, if its provider is not a shipped one. Throws `TypeError` if the file is not such a file, naming everything that is wrong.
 */
export function recorded(file: string | URL, { provider }: { readonly provider?: Provider } = {}): TestEvent {
  const path = String(file).startsWith('file:') ? fileURLToPath(file) : String(file)
  const fixture = readFixture(path)
  if (provider !== undefined && provider.name !== fixture.provider)
    throw new TypeError(`${path} is an event of provider ${fixture.provider}, not of ${provider.name}`)
  const { source, origin, received_at, headers, uid, id, type, task } = fixture
  return {
    provider: provider ?? moduleOf(fixture.provider, `recorded(${JSON.stringify(path)}, { provider })`),
    source,
    origin,
    received_at,
    headers,
    body: bodyOfFixture(fixture),
    recorded: { uid, id, type, ...(task !== undefined && { task }) },
  }
}

function readFixture(path: string): EventFixture {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new TypeError(`the recorded event ${path} cannot be read: ${messageOf(error)}`)
  }
  const faults = fixtureFaults(value)
  if (faults.length === 0) return value as EventFixture
  throw new TypeError(`${path} is not a file that holdfast events export wrote: ${faults.join('; ')}`)
}

/** The event that a test describes by its fields, which are not read from its body. */
export function plainEvent({
  type,
  data,
  source,
  provider = 'standard',
  received_at,
  uid,
  ...rest
}: PlainEvent): TestEvent {
  const { id = `evt_${newUid()}`, created_at = new Date().toISOString(), api_version, task, headers } = rest
  const fields = { id, type, created_at, data, api_version, task }
  return {
    provider: withFields(moduleOf(provider), fields),
    source: source ?? provider,
    // The origin that the handler sees is one of the fields that `runHandler` sets.
    origin: 'webhook',
    received_at: received_at ?? new Date().toISOString(),
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.from(JSON.stringify(fields)),
    recorded: { uid: uid ?? newUid(), id, type },
  }
}

/** The fields of an event that a provider's module reads, and that a test may set to other values. */
export const READ_FIELDS = ['id', 'type', 'created_at', 'data', 'api_version', 'task'] as const

/** The provider with some fields of its events set; the others are read as ever. Its schemas apply to all of them. */
export function withFields(
  { mismatch, ...provider }: Provider,
  fields: { readonly [Field in (typeof READ_FIELDS)[number]]?: unknown },
): Provider {
  const given = Object.fromEntries(
    READ_FIELDS.filter((name) => fields[name] !== undefined).map((name) => [name, fields[name]]),
  )
  if (Object.keys(given).length === 0) return mismatch === undefined ? provider : { ...provider, mismatch }
  return {
    ...provider,
    event: ({ headers, body }) => ({ ...findFields(provider.event, headers, body), ...given }),
  }
}

/** `call`: how the test names a provider of its own. */
function moduleOf(provider: string | Provider, call = 'sample(provider, type)'): Provider {
  if (typeof provider !== 'string') {
    if (typeof provider?.name === 'string' && provider.verify !== undefined && provider.event !== undefined)
      return provider
    throw new TypeError('a provider is the name of a shipped one, or what a provider module exports by default')
  }
  const shipped = shippedProviders.find(({ name }) => name === provider)
  if (shipped !== undefined) return shipped
  const names = shippedProviders.map(({ name }) => name)
  const meant = nearestName(provider, names)
  throw new TypeError(
    `Holdfast ships no provider ${provider}${meant === undefined ? '' : ` (is ${meant} meant?)`}; it ships ${names.join(', ')}. Pass a provider of your own as its module: ${call}`,
  )
}
