import { Type } from '@sinclair/typebox'
import { messageOf } from '../domain/errors.ts'
import type { AnyScheme, Provider } from '../domain/provider.ts'
import { compileSchema, type SchemaCheck } from '../pipeline/schema/schema.ts'
import { closed } from '../signatures/scheme.ts'
import { schemeFaults, schemes } from '../signatures/schemes.ts'
import { apiFaults, checkApi, functionFaults } from './check-api.ts'

const Name = Type.String({ pattern: '^[a-z0-9-]{1,64}$' })
const Selector = Type.String({ pattern: '^(header:.+|body:.*)$' })
const Selectors = Type.Union([Selector, Type.Array(Selector, { minItems: 1 })])
const SchemeName = Type.String({ pattern: `^(${schemes.map(({ name }) => name).join('|')})$` })

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
      verify: Type.Object({ scheme: SchemeName }),
      minKeyBytes: Type.Optional(Type.Integer({ minimum: 1 })),
      event: Type.Unknown(),
      mismatch: Type.Optional(Type.Unknown()),
      redelivery: Type.Optional(Type.TemplateLiteral('${manual|automatic}')),
      schemas: Type.Optional(Type.Record(Type.String(), Type.Object({}))),
      ends: Type.Optional(Type.Unknown()),
      api: Type.Optional(Type.Object({})),
    },
    closed,
  ),
)
const schemeChecks = new Map(schemes.map(({ name, schema }): [string, SchemaCheck] => [name, compileSchema(schema)]))
const checkEventMap = compileSchema(EventMap)

/** What keeps a module's default export from being a provider, one sentence each; empty when it is one. */
export function providerFaults(value: unknown): readonly string[] {
  const faults = faultsOf('', checkModule, value)
  if (faults.length > 0) return faults
  const { verify, event, mismatch, schemas = {}, ends, api = {} } = value as Provider
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
  const apiShapeFaults = faultsOf('/api', checkApi, api)
  faults.push(
    ...functionFaults('/mismatch', mismatch),
    ...functionFaults('/ends', ends),
    ...(apiShapeFaults.length > 0 ? apiShapeFaults : apiFaults(api)),
  )
  return faults
}

function verifyFaults(verify: AnyScheme): readonly string[] {
  const check = schemeChecks.get(verify.scheme)
  const faults = check === undefined ? [] : faultsOf('/verify', check, verify)
  return faults.length > 0 ? faults : schemeFaults(verify).map((fault) => `/verify: ${fault}`)
}

/** A check stops at the first fault; where it names several, they are the alternatives of one. */
function faultsOf(place: string, check: SchemaCheck, value: unknown): string[] {
  const alternatives = [...new Set(check(value))].filter((fault) => !fault.endsWith(' must match a schema in anyOf'))
  const placed = alternatives.map((fault) =>
    fault.startsWith('/ ') ? `${place || '/'}${fault.slice(1)}` : place + fault,
  )
  return placed.length === 0 ? [] : [placed.join(', or ')]
}
