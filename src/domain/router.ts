import type { Static, TSchema } from '@sinclair/typebox'
import { messageOf } from './errors.ts'
import type { WebhookEvent } from './event.ts'
import type { CatalogueType, DataOf } from './event-catalogue.ts'
import type { Handler, HandlerDefinition } from './handler.ts'
import { type HandlerPolicy, readPolicy, unknownText } from './handler-policy.ts'
import { MAX_NAME_LENGTH } from './limits.ts'
import { nearestName } from './nearest-name.ts'

export interface HandlerOptions<Schema extends TSchema = TSchema> extends HandlerPolicy {
  /** Unique in the service; `module:type` unless given. */
  readonly name?: string
  readonly schema?: Schema
}

/** One event type or pattern, several, or those of one source only. */
type Selection<EventType extends string = string> =
  | EventType
  | readonly EventType[]
  | { readonly source?: string; readonly type: EventType | readonly EventType[] }

/** A schema that requires `type` and `data` describes the whole event; any other describes `event.data`. */
type DataBy<Schema extends TSchema> = Static<Schema> extends { type: unknown; data: infer Data } ? Data : Static<Schema>

/** The event with the catalogue's type of `data`; a union if several event types are named. */
type Catalogued<EventType extends string> = EventType extends EventType
  ? WebhookEvent<
      string extends EventType ? string : EventType extends `${string}*${string}` ? string : EventType,
      DataOf<EventType>
    >
  : never

type Typed<EventType extends string, Schema extends TSchema> = WebhookEvent<
  EventType extends `${string}*${string}` ? string : EventType,
  DataBy<Schema>
>

type Suggested = CatalogueType | (string & {})

/** The argument of a handler module: `export default (router: Router) => { router.on(…) }`. */
export interface Router {
  /**
   * Calls the handler for each event of these types. The TypeScript type of the event follows from the schema, or else from the
   * catalogue; Holdfast checks every event by the same schema.
   */
  on<const EventType extends Suggested>(selection: Selection<EventType>, handler: Handler<Catalogued<EventType>>): void
  on<const EventType extends Suggested, Schema extends TSchema>(
    selection: Selection<EventType>,
    schema: Schema,
    handler: Handler<Typed<EventType, Schema>>,
  ): void
  on<const EventType extends Suggested, Schema extends TSchema>(
    selection: Selection<EventType>,
    options: HandlerOptions<Schema> & { readonly schema: Schema },
    handler: Handler<Typed<EventType, Schema>>,
  ): void
  on<const EventType extends Suggested>(
    selection: Selection<EventType>,
    options: Omit<HandlerOptions, 'schema'>,
    handler: Handler<Catalogued<EventType>>,
  ): void
  /** As `on`, but with the handler before its options. For handlers that are defined elsewhere. */
  register<const EventType extends Suggested, Schema extends TSchema>(
    selection: Selection<EventType>,
    handler: Handler<Typed<EventType, Schema>>,
    options: HandlerOptions<Schema> & { readonly schema: Schema },
  ): void
  register<const EventType extends Suggested>(
    selection: Selection<EventType>,
    handler: Handler<Catalogued<EventType>>,
    options?: Omit<HandlerOptions, 'schema'>,
  ): void
}

export interface RegisteredHandler {
  readonly definition: HandlerDefinition
  readonly run: Handler
}

/** The default export of a handler module. */
export type HandlerModule = (router: Router) => void | Promise<void>

/**
 * Makes the router for one handler module. Appends each handler to `registered` until that array is frozen; a later handler is
 * ignored, and `onLate` gets its name. For invalid arguments (no type or function, an unknown option, an invalid number) the router
 * calls `onFault` with a sentence for each fault, or throws a `TypeError` with all of them if there is no `onFault`.
 */
export function createRouter(
  moduleName: string,
  registered: RegisteredHandler[],
  onLate: (name: string) => void = () => {},
  onFault?: (fault: string) => void,
): Router {
  const add = (selection: Selection, options: HandlerOptions, run: Handler): void => {
    const { definition, faults } = readDefinition(moduleName, selection, options, run)
    if (faults.length > 0) {
      if (onFault === undefined) throw new TypeError(faults.join('; '))
      for (const fault of faults) onFault(fault)
    } else if (Object.isFrozen(registered)) onLate(definition.name)
    else registered.push({ definition, run })
  }
  return {
    on: (selection: Selection, second?: TSchema | HandlerOptions | Handler, third?: Handler) => {
      if (typeof second !== 'object' || second === null) {
        if (third !== undefined) throw new TypeError('on takes the handler last')
        add(selection, {}, second as Handler)
      } else add(selection, isSchema(second) ? { schema: second } : second, third as Handler)
    },
    register: (selection: Selection, run: Handler, options?: HandlerOptions) => add(selection, options ?? {}, run),
  } as Router
}

/** TypeBox marks its schemas with this symbol. It is a registered symbol, so every copy of the package sets the same one. */
const KIND = Symbol.for('TypeBox.Kind')

const isSchema = (value: TSchema | HandlerOptions): value is TSchema =>
  KIND in value || ['type', 'properties', 'anyOf', 'allOf', '$ref'].some((key) => key in value)

const SELECTION = ['source', 'type']
const OPTIONS = ['name', 'concurrency', 'timeoutMs', 'retry', 'rate', 'orderBy', 'schema']
const TYPE = /^[^\s\p{Cc}]+$/u

/** The definition that these arguments give, and everything that is wrong with them; with a fault the definition is of no use. */
function readDefinition(
  module: string,
  selection: Selection,
  options: HandlerOptions,
  run: Handler,
): { readonly definition: HandlerDefinition; readonly faults: readonly string[] } {
  const isObject = typeof selection === 'object' && selection !== null && !Array.isArray(selection)
  const { source, type, ...others } = (isObject ? selection : { type: selection }) as {
    source?: unknown
    type?: unknown
  }
  const types = (Array.isArray(type) ? type : [type]) as readonly string[]
  const faults: string[] = []
  const hasTypes = types.length > 0 && types.every((each) => typeof each === 'string' && TYPE.test(each))
  if (!hasTypes) faults.push('a handler needs an event type, or a list of them')
  const ownName = hasTypes ? `${module}:${types.join(',')}` : module
  if (typeof run !== 'function') faults.push(`handler ${ownName} is not a function`)
  const given: unknown = options.name ?? ownName
  const isName = typeof given === 'string' && given.length > 0 && given.length <= MAX_NAME_LENGTH
  if (!isName) faults.push(`a handler's name has 1 to ${MAX_NAME_LENGTH} characters`)
  const name = isName ? given : ownName
  const fault = (text: string): number => faults.push(`handler ${name}: ${text}`)
  for (const key of Object.keys(others)) fault(unknownText(key, nearestName(key, SELECTION)))
  for (const key of Object.keys(options)) if (!OPTIONS.includes(key)) fault(unknownText(key, nearestName(key, OPTIONS)))
  const isSource = typeof source === 'string'
  if (source !== undefined && !isSource) fault('source is the name of one source')
  const definition = {
    name,
    types,
    ...(isSource && { source }),
    ...readPolicy({ ...options }, fault),
    ...(options.schema !== undefined && plainSchema(options.schema, fault)),
  }
  return { definition, faults }
}

/** The schema as plain JSON, which can cross processes; TypeBox's marks are symbols and cannot. */
function plainSchema(
  schema: TSchema,
  onFault: (fault: string) => void,
): Pick<HandlerDefinition, 'schema' | 'schemaOf'> | undefined {
  if (typeof schema !== 'object' || schema === null) {
    onFault('its schema is not a JSON Schema')
    return undefined
  }
  const schemaOf = requires(schema, 'type') && requires(schema, 'data') ? 'event' : 'data'
  const added = schemaOf === 'event' ? HOLDFAST_FIELDS.filter((field) => requires(schema, field)) : []
  if (added.length > 0) onFault(`its schema asks for ${added.join(', ')}, which no provider sends`)
  try {
    return { schema: JSON.parse(JSON.stringify(schema)), schemaOf }
  } catch (error) {
    onFault(`its schema is not plain JSON: ${messageOf(error)}`)
    return undefined
  }
}

/** Fields of an event that Holdfast adds; a schema describes only the provider's fields. */
const HOLDFAST_FIELDS = ['uid', 'source', 'provider', 'origin', 'received_at']

/** Whether a value must have the property to match the schema, as in its static TypeScript type. */
function requires({ required, allOf, anyOf }: TSchema, property: string): boolean {
  const parts = (schemas: unknown): readonly TSchema[] => (Array.isArray(schemas) ? schemas : [])
  return (
    (Array.isArray(required) && required.includes(property)) ||
    parts(allOf).some((part) => requires(part, property)) ||
    (parts(anyOf).length > 0 && parts(anyOf).every((part) => requires(part, property)))
  )
}
