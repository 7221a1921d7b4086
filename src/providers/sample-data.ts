import { type CatalogueType, catalogue } from '../domain/event-catalogue.ts'
import type { HandlerDefinition } from '../domain/handler.ts'
import type { Provider } from '../domain/provider.ts'

/** Levels of a schema that a sample follows; what is deeper is empty. */
const MAX_DEPTH = 8
/** Values of one sample; more are left out. */
const MAX_VALUES = 500

type Schema = Readonly<Record<string, unknown>>

/**
 * Data for a sample event of a type, made from the schema by which such an event is judged: a handler's own, the provider's or the
 * catalogue's. It has what the schema requires; a schema may ask for more than can be guessed. Without a schema, it says that it is a
 * sample.
 */
export function sampleDataFor(
  type: string,
  provider: Pick<Provider, 'schemas'>,
  handlers: readonly HandlerDefinition[],
): Readonly<Record<string, unknown>> {
  const handler = handlers.find(({ schema }) => schema !== undefined)
  const ownSchema = handler?.schemaOf === 'event' ? propertiesOf(handler.schema).data : handler?.schema
  const schema =
    ownSchema ??
    (Object.hasOwn(provider.schemas ?? {}, type) ? provider.schemas?.[type] : undefined) ??
    (Object.hasOwn(catalogue, type) ? catalogue[type as CatalogueType] : undefined)
  const made = schema === undefined ? undefined : valueOf(schema, { left: MAX_VALUES }, 0)
  return isObject(made) ? made : { object: 'sample', message: `A sample ${type} event, made by Holdfast` }
}

const isObject = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const propertiesOf = (schema: unknown): Readonly<Record<string, unknown>> =>
  isObject(schema) && isObject(schema.properties) ? schema.properties : {}

function valueOf(schema: unknown, budget: { left: number }, depth: number): unknown {
  if (!isObject(schema) || depth > MAX_DEPTH || budget.left-- <= 0) return null
  const { enum: choices, anyOf, oneOf, allOf, examples } = schema
  if ('const' in schema) return schema.const
  if ('default' in schema) return schema.default
  for (const given of [examples, choices]) if (Array.isArray(given) && given.length > 0) return given[0]
  for (const options of [anyOf, oneOf])
    if (Array.isArray(options) && options.length > 0) return valueOf(options[0], budget, depth + 1)
  if (Array.isArray(allOf))
    return Object.assign({}, ...allOf.map((each) => valueOf(each, budget, depth + 1)).filter(isObject))
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  return ofType(type ?? ('properties' in schema ? 'object' : undefined), schema, budget, depth)
}

function ofType(type: unknown, schema: Schema, budget: { left: number }, depth: number): unknown {
  switch (type) {
    case 'object':
      return objectOf(schema, budget, depth)
    case 'array':
      return Array.from({ length: Math.min(10, numberIn(schema.minItems, 0)) }, () =>
        valueOf(schema.items, budget, depth + 1),
      )
    case 'string':
      return textOf(schema)
    case 'integer':
    case 'number':
      return Math.ceil(
        numberIn(schema.minimum, numberIn(schema.exclusiveMinimum, 0) + ('exclusiveMinimum' in schema ? 1 : 0)),
      )
    case 'boolean':
      return false
    default:
      return null
  }
}

function objectOf(schema: Schema, budget: { left: number }, depth: number): Schema {
  const required: readonly unknown[] = Array.isArray(schema.required) ? schema.required : []
  return Object.fromEntries(
    Object.entries(propertiesOf(schema))
      .filter(([name]) => required.includes(name))
      .map(([name, each]) => [name, valueOf(each, budget, depth + 1)]),
  )
}

const FORMATS: Readonly<Record<string, string>> = {
  'date-time': '2026-01-01T00:00:00Z',
  date: '2026-01-01',
  email: 'sample@example.com',
  uri: 'https://example.com/sample',
  uuid: '00000000-0000-4000-8000-000000000000',
}

function textOf({ format, minLength }: Schema): string {
  const text = FORMATS[String(format)] ?? 'sample'
  return text.padEnd(Math.min(1_000, numberIn(minLength, 0)), '-')
}

const numberIn = (value: unknown, otherwise: number): number => (typeof value === 'number' ? value : otherwise)
