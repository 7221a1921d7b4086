import type { EventFields, Origin, RoutedStatus } from '../domain/event.ts'
import { catalogue, hasOwnSchemas } from '../domain/event-catalogue.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import { MAX_REASONS } from '../domain/limits.ts'
import { compileOrderBy, type OrderedEvent, type OrderKeys } from '../domain/order-key.ts'
import type { Provider } from '../domain/provider.ts'
import type { Source } from '../domain/source.ts'
import { judgementId } from './judgement-id.ts'
import type { ReadResult } from './read-event.ts'
import { compileBounded, compileSchema, type SchemaCheck } from './schema/schema.ts'
import { openBudget } from './schema/step-budget.ts'
import { compilePatterns, typeNotAccepted } from './type-routes.ts'

/**
 * The handlers that an event goes to, and its status. An event is also `accepted` if a schema check would take too long in this
 * process: the handler's process then checks it before the handler runs (`DeferredChecks`).
 */
export interface RouteResult {
  readonly status: RoutedStatus
  readonly handlers: readonly string[]
  /** As `NewEvent.orderKeys`. */
  readonly orderKeys?: OrderKeys
  readonly reasons: readonly string[]
  /** For an accepted event: the ids (`judgementId`) of the schema checks that are left to its handlers' processes. Absent: none. */
  readonly unjudged?: readonly string[]
}

/** The part of a source that reading and routing need. */
export type SourceProfile = Pick<Source, 'name' | 'provider' | 'types' | 'accepts'>

/**
 * Routes the event that was read. An event that could not be read is quarantined. `SOURCE_<NAME>_TYPES` limits the types that a
 * source accepts by webhook, but does not apply to the answers to Holdfast's polls.
 */
export function routeReading(route: Route, source: SourceProfile, reading: ReadResult, origin: Origin): RouteResult {
  if (!reading.ok) return { status: 'quarantined', handlers: [], reasons: reading.reasons }
  return route(origin === 'poll' ? { ...source, accepts: () => true } : source, reading.fields, reading.bodyBytes)
}

/**
 * Validates a readable event by the schemas of its provider and its handlers, and finds the handlers that want it. Takes a few
 * milliseconds at most, for any schema (`openBudget`). `bodyBytes` is 0 unless given.
 */
export type Route = (source: SourceProfile, fields: EventFields, bodyBytes?: number) => RouteResult

interface CompiledRoute {
  readonly handler: HandlerDefinition
  readonly wants: (type: string) => boolean
  readonly check: (fields: EventFields) => readonly string[]
  /** Absent: the handler has no `orderBy`. */
  readonly orderKey?: (event: OrderedEvent) => number | undefined
}

/** Compiles the routes of all handlers. Throws if a schema is not valid; the message names the handler. */
export const compileRoutes = (handlers: readonly HandlerDefinition[]): Route => routeBy(handlers.map(compileRoute))

/** Compiled routes, each by its handler definition as JSON. */
export type CompiledRoutes = ReadonlyMap<string, CompiledRoute>

/** Compiles routes and reuses the known ones. Yields to the event loop after each compilation, so that the thread can do other work. */
export async function compileBetween(
  handlers: readonly HandlerDefinition[],
  known: CompiledRoutes,
): Promise<CompiledRoutes> {
  const routes = new Map<string, CompiledRoute>()
  for (const handler of handlers) {
    const key = JSON.stringify(handler)
    const before = known.get(key)
    routes.set(key, before ?? compileRoute(handler))
    if (before === undefined) await new Promise((resolve) => setImmediate(resolve))
  }
  return routes
}

export function routeBy(routes: readonly CompiledRoute[]): Route {
  return (source, fields, bodyBytes = 0) => {
    if (!source.accepts(fields.type)) return typeNotAccepted(source.name, source.types)
    const wanting = routes.filter(
      ({ handler, wants }) => (handler.source === undefined || handler.source === source.name) && wants(fields.type),
    )
    // A handler's own schema replaces the provider's schema.
    const isOverruled = wanting.length > 0 && wanting.every(({ handler }) => handler.schema !== undefined)
    const within = openBudget(bodyBytes)
    const providers = isOverruled ? undefined : providerChecks(source.provider).get(fields.type)
    const unjudged = new Set<string>()
    const judge = (schemas: Pick<HandlerDefinition, 'schema' | 'schemaOf'>, check: () => readonly string[]) => {
      const faults = within(check)
      if (faults === undefined && wanting.length > 0) unjudged.add(judgementId(schemas, source.provider, fields))
      return faults ?? []
    }
    const faults = providers === undefined ? [] : judge({}, () => providers(fields.data))
    if (faults.length > 0)
      return { status: 'quarantined', handlers: [], reasons: faults.map((fault) => `data: ${fault}`) }

    const reasons = wanting.flatMap(({ handler, check }) =>
      (handler.schema === undefined ? check(fields) : judge(handler, () => check(fields))).map(
        (fault) => `${handler.name}: ${fault}`,
      ),
    )
    if (reasons.length > 0) return { status: 'quarantined', handlers: [], reasons }
    return {
      status: wanting.length > 0 ? 'accepted' : 'unhandled',
      handlers: wanting.map(({ handler }) => handler.name),
      reasons: [],
      ...orderKeysOf(wanting, source, fields),
      ...(unjudged.size > 0 && { unjudged: [...unjudged] }),
    }
  }
}

function orderKeysOf(
  routes: readonly CompiledRoute[],
  { name, provider }: SourceProfile,
  fields: EventFields,
): Pick<RouteResult, 'orderKeys'> {
  const ordering = routes.filter(({ orderKey }) => orderKey !== undefined)
  if (ordering.length === 0) return {}
  const event = { ...fields, source: name, provider: provider.name }
  const keys = ordering.flatMap(({ handler, orderKey }) => {
    const key = orderKey?.(event)
    return key === undefined ? [] : [[handler.name, key] as const]
  })
  return keys.length === 0 ? {} : { orderKeys: Object.fromEntries(keys) }
}

type Schemas = NonNullable<Provider['schemas']>

const NO_SCHEMAS: Schemas = {}
const compiled = new WeakMap<Schemas, ReadonlyMap<string, SchemaCheck>>()

/** Event type → check of its data by the provider's schema. Compiles at the first call, which should come before the first event. */
export function providerChecks({ schemas = NO_SCHEMAS }: Pick<Provider, 'schemas'>): ReadonlyMap<string, SchemaCheck> {
  const known = compiled.get(schemas)
  if (known !== undefined) return known
  const checks = new Map(Object.entries(schemas).map(([type, schema]) => [type, compileSchema(schema)]))
  compiled.set(schemas, checks)
  return checks
}

const catalogueChecks = providerChecks({ schemas: catalogue })

function compileRoute(handler: HandlerDefinition): CompiledRoute {
  const { types, orderBy } = handler
  return {
    handler,
    wants: compilePatterns(types),
    check: compileCheck(handler, compileBounded),
    ...(orderBy !== undefined && { orderKey: compileOrderBy(orderBy) }),
  }
}

/**
 * Compiles the check that an event has the form which the handler's TypeScript types promise: the handler's schema, or the
 * catalogue's schema for each type that the handler names in full, or else that `data` is an object.
 */
function compileCheck(
  { name, types, schema, schemaOf }: HandlerDefinition,
  compile = compileSchema,
): CompiledRoute['check'] {
  if (schema === undefined) {
    return ({ type, data }) => {
      const catalogued = types.includes(type) ? catalogueChecks.get(type) : undefined
      if (catalogued !== undefined) return catalogued(data)
      return typeof data === 'object' && data !== null && !Array.isArray(data) ? [] : ['data must be object']
    }
  }
  try {
    const check = compile(schema)
    return schemaOf === 'event' ? check : ({ data }) => check(data)
  } catch (error) {
    throw new Error(`handler ${name}: its schema is not valid: ${(error as Error).message}`)
  }
}

/**
 * Checks an event in its handler's process by the handler's schema, or else the provider's. Returns the reasons why the handler must
 * not get the event; empty if it may. Not bounded in time.
 */
export type DeferredChecks = (handler: HandlerDefinition, provider: Provider, fields: EventFields) => readonly string[]

/**
 * Compiles the deferred checks of handlers and providers with schemas of their own. Checks by the catalogue are fast, and are never
 * deferred. Throws if a schema is not valid; the message names the handler.
 */
export function compileDeferredChecks(handlers: readonly HandlerDefinition[]): DeferredChecks {
  const own = new Map(
    handlers.filter(({ schema }) => schema !== undefined).map((each) => [each.name, compileCheck(each)]),
  )
  return ({ name }, provider, fields) => {
    const check = own.get(name)
    const faults =
      check === undefined
        ? (hasOwnSchemas(provider) && providerChecks(provider).get(fields.type)?.(fields.data)) || []
        : check(fields)
    const prefix = check === undefined ? 'data' : name
    return faults.slice(0, MAX_REASONS).map((fault) => `${prefix}: ${fault}`)
  }
}
