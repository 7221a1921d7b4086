/** The keyword that counts each visit: each time that Ajv checks one part of the value by one part of the schema. Defined in `schema.ts`. */
export const METER = 'holdfast:meter'

/** The cost of a visit, charged before its work begins. */
export interface Toll {
  readonly steps: number
  /** The visit looks at every character of a string. */
  readonly isBySize: boolean
  /** How many times the visit lists the keys of an object. */
  readonly keyLists: number
  /** How many constants the value is compared with, key by key. */
  readonly compared: number
}

interface Instrumented {
  readonly schema: Json
  /** The toll of the root schema, which is not wrapped: the caller charges it when a check begins. */
  readonly toll: Toll
}

type Json = Readonly<Record<string, unknown>>

const SCHEMA = ['additionalProperties', 'additionalItems', 'contains', 'propertyNames', 'not', 'if', 'then', 'else']
const LISTS = ['allOf', 'anyOf', 'oneOf', 'items']
const MAPS = ['properties', 'patternProperties', 'dependencies']
const DEFINITIONS = ['definitions', '$defs']
/** Keywords that do not constrain the value. */
const SILENT = new Set([
  'title',
  'description',
  'default',
  'examples',
  '$comment',
  'readOnly',
  'writeOnly',
  'deprecated',
])
const SIZED = ['minLength', 'maxLength']
const LISTING = ['additionalProperties', 'propertyNames', 'minProperties', 'maxProperties']
/** References to parts whose visits are counted. Other references could lead to parts without a count. */
const KNOWN_POINTER = /^#(\/(definitions|\$defs|properties)\/[^/]+)?$/
/** How many characters of constants one step compares. */
const CHARACTERS_PER_STEP = 32

/**
 * The same schema, with every visit of a part counted: wraps each part into a schema that counts first. Between two counts Ajv's code
 * does only the work of one part's keywords, which `Toll` measures. Undefined: the schema has references that might lead to parts
 * without a count.
 */
export function instrument(schema: Json): Instrumented | undefined {
  const ids = new Set<unknown>()
  const references: string[] = []
  let heaviest: Toll = { steps: 1, isBySize: false, keyLists: 0, compared: 0 }

  function survey(part: unknown): void {
    if (!isObject(part)) return
    if (part.$id !== undefined) ids.add(part.$id)
    if (typeof part.$ref === 'string') references.push(part.$ref)
    heaviest = heavierOf(heaviest, tollOf(part))
    for (const inner of partsOf(part)) survey(inner)
  }

  function counted(part: unknown): unknown {
    if (!isObject(part) || Object.keys(part).every((key) => SILENT.has(key))) return part
    // The target of a reference is not wrapped itself.
    return { [METER]: part.$ref === undefined ? tollOf(part) : heaviest, allOf: [inside(part)] }
  }

  const inside = (part: Json): Json =>
    Object.fromEntries(
      Object.entries(part).flatMap(([key, value]) => (key === METER ? [] : [[key, within(key, value)]])),
    )

  function within(key: string, value: unknown): unknown {
    if (Array.isArray(value)) return LISTS.includes(key) ? value.map(counted) : value
    if (SCHEMA.includes(key) || key === 'items') return counted(value)
    if (!isObject(value)) return value
    const each = MAPS.includes(key) ? counted : DEFINITIONS.includes(key) ? uncounted : undefined
    return each === undefined
      ? value
      : Object.fromEntries(Object.entries(value).map(([name, part]) => [name, each(part)]))
  }

  const uncounted = (part: unknown): unknown => (isObject(part) ? inside(part) : part)

  survey(schema)
  const isKnown = references.every((to) => ids.has(to) || KNOWN_POINTER.test(to))
  return isKnown ? { schema: inside(schema), toll: schema.$ref === undefined ? tollOf(schema) : heaviest } : undefined
}

function partsOf(part: Json): readonly unknown[] {
  return [
    ...[...SCHEMA, 'items'].map((key) => part[key]),
    ...LISTS.flatMap((key) => (Array.isArray(part[key]) ? part[key] : [])),
    ...[...MAPS, ...DEFINITIONS].flatMap((key) => (isObject(part[key]) ? Object.values(part[key]) : [])),
  ]
}

const heavierOf = (one: Toll, other: Toll): Toll => ({
  steps: Math.max(one.steps, other.steps),
  isBySize: one.isBySize || other.isBySize,
  keyLists: Math.max(one.keyLists, other.keyLists),
  compared: Math.max(one.compared, other.compared),
})

/** The cost of the keywords of one part, without the parts inside it. */
function tollOf(part: Json): Toll {
  const constants = [...(Array.isArray(part.enum) ? part.enum : []), ...('const' in part ? [part.const] : [])]
  const lists = [part.required, ...Object.values(isObject(part.dependencies) ? part.dependencies : {})]
  const names = lists.reduce<number>((sum, list) => sum + (Array.isArray(list) ? list.length : 0), 0)
  const texts = constants.length === 0 ? 0 : Math.ceil(JSON.stringify(constants).length / CHARACTERS_PER_STEP)
  return {
    steps: 1 + names + countOf(part.properties) + texts,
    isBySize: SIZED.some((key) => key in part),
    keyLists: LISTING.filter((key) => key in part).length + countOf(part.patternProperties),
    compared: constants.filter((constant) => typeof constant === 'object' && constant !== null).length,
  }
}

const countOf = (map: unknown): number => (isObject(map) ? Object.keys(map).length : 0)

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
