import { catalogue } from './catalogue.ts'
import type { EventFields, Origin } from './event.ts'
import type { HandlerRegistration } from './handler.ts'
import { compilePatterns } from './pattern.ts'
import type { Provider } from './provider.ts'
import type { Reading } from './read-event.ts'
import { compileSchema, type SchemaCheck } from './schema.ts'
import type { Source } from './source.ts'

/** Where an event goes: `accepted` to these handlers, or to none of them, and why. */
export interface Routing {
  readonly status: 'accepted' | 'unhandled' | 'quarantined'
  readonly handlers: readonly string[]
  readonly reasons: readonly string[]
}

/**
 * Where what was read goes: what could not be read is kept. `SOURCE_<NAME>_TYPES` says what a source takes from its sender;
 * what Holdfast itself went and got (`poll`) is taken all the same.
 */
export function routeReading(route: Route, source: Source, reading: Reading, origin: Origin): Routing {
  if (!reading.ok) return { status: 'quarantined', handlers: [], reasons: reading.reasons }
  return route(origin === 'poll' ? { ...source, accepts: () => true } : source, reading.fields)
}

/** Validates a readable event by its provider's schema and its handlers', and finds the handlers that want it. */
export type Route = (source: Source, fields: EventFields) => Routing

interface CompiledRoute {
  readonly registration: HandlerRegistration
  readonly wants: (type: string) => boolean
  readonly check: (fields: EventFields) => readonly string[]
}

/** Compiles the routes of all handlers. Throws, naming the handler, on a schema that is not valid. */
export function compileRoutes(registrations: readonly HandlerRegistration[]): Route {
  const routes = registrations.map(compileRoute)
  const providerChecks = new Map<Provider, ReadonlyMap<string, SchemaCheck>>()
  const checkOf = (provider: Provider, type: string): SchemaCheck | undefined => {
    const known = providerChecks.get(provider) ?? compileSchemas(provider)
    providerChecks.set(provider, known)
    return known.get(type)
  }

  return (source, fields) => {
    if (!source.accepts(fields.type)) {
      return {
        status: 'unhandled',
        handlers: [],
        reasons: [`source ${source.name} accepts only ${source.types.join(', ')}`],
      }
    }
    const wanting = routes.filter(
      ({ registration, wants }) =>
        (registration.source === undefined || registration.source === source.name) && wants(fields.type),
    )
    // A handler's own schema takes the place of what the provider's says.
    const isOverruled = wanting.length > 0 && wanting.every(({ registration }) => registration.schema !== undefined)
    const faults = isOverruled ? [] : (checkOf(source.provider, fields.type)?.(fields.data) ?? [])
    if (faults.length > 0)
      return { status: 'quarantined', handlers: [], reasons: faults.map((fault) => `data: ${fault}`) }

    const reasons = wanting.flatMap(({ registration, check }) =>
      check(fields).map((fault) => `${registration.name}: ${fault}`),
    )
    if (reasons.length > 0) return { status: 'quarantined', handlers: [], reasons }
    return {
      status: wanting.length > 0 ? 'accepted' : 'unhandled',
      handlers: wanting.map(({ registration }) => registration.name),
      reasons: [],
    }
  }
}

const compileSchemas = (provider: Provider): ReadonlyMap<string, SchemaCheck> =>
  new Map(Object.entries(provider.schemas ?? {}).map(([type, schema]) => [type, compileSchema(schema)]))

const catalogueChecks: ReadonlyMap<string, SchemaCheck> = new Map(
  Object.entries(catalogue).map(([type, schema]) => [type, compileSchema(schema)]),
)

function compileRoute(registration: HandlerRegistration): CompiledRoute {
  return { registration, wants: compilePatterns(registration.types), check: compileCheck(registration) }
}

/**
 * A handler is typed by its schema, by the catalogue for each type that it names in full, or else as an object; it gets
 * nothing else.
 */
function compileCheck({ name, types, schema, schemaOf }: HandlerRegistration): CompiledRoute['check'] {
  if (schema === undefined) {
    return ({ type, data }) => {
      const catalogued = types.includes(type) ? catalogueChecks.get(type) : undefined
      if (catalogued !== undefined) return catalogued(data)
      return typeof data === 'object' && data !== null && !Array.isArray(data) ? [] : ['data must be object']
    }
  }
  try {
    const check = compileSchema(schema)
    return schemaOf === 'event' ? check : ({ data }) => check(data)
  } catch (error) {
    throw new Error(`handler ${name}: its schema is not valid: ${(error as Error).message}`)
  }
}
