import { type TSchema, Type } from '@sinclair/typebox'
import { messageOf } from '../domain/errors.ts'
import type { Provider } from '../domain/provider.ts'
import { compileSchema, type SchemaCheck } from '../pipeline/schema/schema.ts'
import { schemeFaults } from '../signatures/scheme-faults.ts'
import { apiFaults, checkApi, functionFaults } from './check-api.ts'

const closed = { additionalProperties: false }
const Name = Type.String({ pattern: '^[a-z0-9-]{1,64}$' })
const Header = Type.String({ pattern: "^[a-z0-9!#$%&'*+.^_`|~-]+$", description: 'a header name in lower case' })
const Headers = Type.Union([Header, Type.Array(Header, { minItems: 1 })])
const Selector = Type.String({ pattern: '^(header:.+|body:.*)$' })
const Selectors = Type.Union([Selector, Type.Array(Selector, { minItems: 1 })])
const Text = Type.String({ minLength: 1 })
/** As a pattern, which a fault quotes. */
const oneOf = (...values: string[]): TSchema => Type.String({ pattern: `^(${values.join('|')})$` })

const Hmac = Type.Object(
  {
    scheme: Type.Literal('hmac'),
    algorithm: oneOf('sha1', 'sha256', 'sha512'),
    key: oneOf('utf8', 'base64', 'hex', 'whsec', 'whsec-or-utf8'),
    signed: Text,
    id: Type.Optional(Headers),
    signature: Type.Object(
      {
        header: Headers,
        encoding: oneOf('hex', 'base64'),
        separator: Type.Optional(Text),
        labelSeparator: Type.Optional(Text),
        labels: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
      },
      closed,
    ),
    timestamp: Type.Optional(
      Type.Object(
        {
          from: Type.Union([
            Type.Object({ header: Headers }, closed),
            Type.Object({ label: Text }, closed),
            Type.Object({ body: Text }, closed),
          ]),
          unit: oneOf('s', 'ms', 'rfc3339'),
          pastSeconds: Type.Number({ exclusiveMinimum: 0 }),
          futureSeconds: Type.Union([Type.Number({ minimum: 0 }), Type.Null()]),
        },
        closed,
      ),
    ),
  },
  closed,
)

const SharedSecret = Type.Object(
  {
    scheme: Type.Literal('shared-secret'),
    from: Type.Union([
      Type.Object({ header: Header, prefix: Type.Optional(Text) }, closed),
      Type.Object({ basic: Type.Literal('password') }, closed),
      Type.Object({ query: Text }, closed),
      Type.Object({ body: Text }, closed),
    ]),
  },
  closed,
)

const EventMap = Type.Object(
  {
    id: Type.Optional(Selectors),
    type: Selectors,
    created_at: Type.Optional(Selectors),
    data: Type.Optional(Selectors),
    api_version: Type.Optional(Selectors),
    task: Type.Optional(Selectors),
  },
  closed,
)

const checkModule = compileSchema(
  Type.Object(
    {
      name: Name,
      contentTypes: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z0-9.+-]+/[a-z0-9.+-]+$' }), { minItems: 1 })),
      verify: Type.Object({ scheme: oneOf('hmac', 'shared-secret') }),
      minKeyBytes: Type.Optional(Type.Integer({ minimum: 1 })),
      event: Type.Unknown(),
      mismatch: Type.Optional(Type.Unknown()),
      redelivery: Type.Optional(oneOf('manual', 'automatic')),
      schemas: Type.Optional(Type.Record(Type.String(), Type.Object({}))),
      ends: Type.Optional(Type.Unknown()),
      api: Type.Optional(Type.Object({})),
    },
    closed,
  ),
)
const checkHmac = compileSchema(Hmac)
const checkSharedSecret = compileSchema(SharedSecret)
const checkEventMap = compileSchema(EventMap)

/** What keeps a module's default export from being a provider, one sentence each; empty when it is one. */
export function providerFaults(value: unknown): readonly string[] {
  const faults = faultsOf('', checkModule, value)
  if (faults.length > 0) return faults
  const { verify, event, mismatch, schemas = {}, ends, api = {} } = value as Provider
  if (typeof event !== 'function') faults.push(...faultsOf('/event', checkEventMap, event))
  else faults.push(...functionFaults('/event', event))
  const shapeFaults = faultsOf('/verify', verify.scheme === 'hmac' ? checkHmac : checkSharedSecret, verify)
  faults.push(...shapeFaults)
  if (shapeFaults.length === 0) faults.push(...schemeFaults(verify).map((fault) => `/verify: ${fault}`))
  for (const [type, schema] of Object.entries(schemas)) {
    try {
      compileSchema(schema)
    } catch (error) {
      faults.push(`/schemas/${type}: ${messageOf(error)}`)
    }
  }
  const apiShapeFaults = faultsOf('/api', checkApi, api)
  faults.push(
    ...functionFaults('/mismatch', mismatch),
    ...functionFaults('/ends', ends),
    ...(apiShapeFaults.length > 0 ? apiShapeFaults : apiFaults(api)),
  )
  return faults
}

/** A check stops at the first fault; where it names several, they are the alternatives of one. */
function faultsOf(place: string, check: SchemaCheck, value: unknown): string[] {
  const alternatives = [...new Set(check(value))].filter((fault) => !fault.endsWith(' must match a schema in anyOf'))
  const placed = alternatives.map((fault) =>
    fault.startsWith('/ ') ? `${place || '/'}${fault.slice(1)}` : place + fault,
  )
  return placed.length === 0 ? [] : [placed.join(', or ')]
}
