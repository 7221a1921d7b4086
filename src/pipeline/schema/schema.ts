import {
  _,
  Ajv,
  type AnySchemaObject,
  type CodeKeywordDefinition,
  type ErrorObject,
  type Format,
  type FuncKeywordDefinition,
  type SchemaValidateFunction,
  type ValidateFunction,
} from 'ajv'
import addFormats from 'ajv-formats'
import { MAX_REASONS } from '../../domain/limits.ts'
import { instrument, METER, type Toll } from './instrument.ts'
import { charge, chargeComparing, chargeKeys, chargeUnbounded, openBudget } from './meter.ts'
import { compilePattern } from './pattern.ts'

/**
 * Why a value is not as its schema says; empty when it is. Names places, never values. Counts what it does, so that it can be
 * run under a budget (`openBudget`).
 */
export type SchemaCheck = (value: unknown) => readonly string[]

/** Characters of a schema's JSON past which Node may need too long to compile a part of it when an event first reaches that. */
const MAX_COUNTED_LENGTH = 16_384

/** Characters that are looked at in one step. */
const CHARACTERS_PER_STEP = 16

function chargeToll(value: unknown, { steps, isBySize, keyLists, compared }: Toll): void {
  charge(steps)
  if (compared > 0) chargeComparing(value, compared)
  if (isBySize && typeof value === 'string') charge(value.length / CHARACTERS_PER_STEP)
  else if (keyLists > 0 && typeof value === 'object' && value !== null && !Array.isArray(value))
    chargeKeys(value, keyLists)
}

const meter: CodeKeywordDefinition = {
  keyword: METER,
  before: 'allOf',
  code({ gen, data, schema }) {
    const toll = schema as Toll
    const isSimple = !toll.isBySize && toll.keyLists === 0 && toll.compared === 0
    if (isSimple) gen.code(_`${gen.scopeValue('obj', { ref: charge })}(${toll.steps})`)
    else gen.code(_`${gen.scopeValue('obj', { ref: chargeToll })}(${data}, ${gen.scopeValue('obj', { ref: toll })})`)
  },
}

/** Nothing is coerced, stripped or filled in: what is checked stays as it came. */
function createAjv(): Ajv {
  const regExp = Object.assign(compilePattern, { code: 'compilePattern' })
  const ajv = new Ajv({
    allErrors: false,
    strict: false,
    // What a module gives may be no number of JSON.
    strictNumbers: true,
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
    // What it takes out of its code, Node's compiler takes out too, and in a third of the time.
    code: { regExp, optimize: false },
  })
  ajv.removeKeyword('uniqueItems').addKeyword(uniqueItems).addKeyword(meter)
  addCountedFormats(ajv)
  return ajv
}

/**
 * Compiles a JSON Schema once. Throws if the schema itself is not valid.
 * Ajv rather than TypeBox's compiler, because a handler's schema reaches this process as plain JSON.
 */
export function compileSchema(schema: Readonly<Record<string, unknown>>): SchemaCheck {
  const text = JSON.stringify(schema)
  if (/"\$async":true/.test(text)) throw new Error('$async is not supported')
  const plain: AnySchemaObject = JSON.parse(text)
  const counted = text.length > MAX_COUNTED_LENGTH ? undefined : instrument(plain)
  // An instance knows a schema by its $id, and two handlers may use the same one.
  const ajv = text.includes('"$id"') ? createAjv() : shared
  void ajv.validateSchema(plain, true)
  const validate = ajv.compile(counted?.schema ?? plain)
  ajv.removeSchema(validate.schema)
  // Node compiles a function when it is first called, which takes long where the schema is large.
  void openBudget(0)(() => validate(undefined))
  return (value) => {
    if (counted === undefined) chargeUnbounded()
    else chargeToll(value, counted.toll)
    return holds(validate, value) ? [] : (validate.errors ?? [UNCHECKED]).slice(0, MAX_REASONS).map(describe)
  }
}

/** The same for where checks have a budget: a schema of which they would all be broken off is not even compiled there. */
export function compileBounded(schema: Readonly<Record<string, unknown>>): SchemaCheck {
  if (JSON.stringify(schema).length <= MAX_COUNTED_LENGTH) return compileSchema(schema)
  let check: SchemaCheck | undefined
  return (value) => {
    chargeUnbounded()
    check ??= compileSchema(schema)
    return check(value)
  }
}

/** What is said of a value that Ajv could not check. */
const UNCHECKED: Pick<ErrorObject, 'instancePath' | 'message' | 'params'> = {
  instancePath: '',
  message: 'cannot be checked',
  params: {},
}

/** Ajv compares values by their own `toString` and `valueOf`, where a value has members of that name. */
function holds(validate: ValidateFunction, value: unknown): boolean {
  try {
    return validate(value)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    validate.errors = null
    return false
  }
}

const MAX_KEY_LENGTH = 64
const MAX_PATH_LENGTH = 256
/** Of what Ajv says, which holds a whole pattern. */
const MAX_MESSAGE_LENGTH = 512

function describe({ instancePath, message = '', params }: typeof UNCHECKED): string {
  const { additionalProperty } = params as { additionalProperty?: string }
  const which =
    additionalProperty === undefined ? '' : `: ${JSON.stringify(additionalProperty.slice(0, MAX_KEY_LENGTH))}`
  return `${instancePath.slice(0, MAX_PATH_LENGTH) || '/'} ${message.slice(0, MAX_MESSAGE_LENGTH)}${which}`
}

type Test = (text: string) => boolean

/** Characters that a format looks at in one step. */
const FORMAT_CHARACTERS_PER_STEP = 4
/** `url` may look at each character once for each other. */
const URL_SQUARE_PER_STEP = 16
/** A longer text is no host name; the expression of `hostname` looks so far ahead before it begins. */
const MAX_HOSTNAME_LENGTH = 255

/**
 * Adds the formats of ajv-formats, each of which counts what it is about to do. Their expressions are anchored, and
 * linear in the text but for `url`.
 */
export function addCountedFormats(ajv: Ajv): void {
  addFormats.default(ajv)
  for (const [name, format] of Object.entries(ajv.formats)) {
    const test = format === undefined ? undefined : testOf(format)
    if (test === undefined) continue
    ajv.addFormat(name, {
      type: 'string',
      validate: (text: string) => {
        charge(1 + (name === 'url' ? text.length ** 2 / URL_SQUARE_PER_STEP : text.length / FORMAT_CHARACTERS_PER_STEP))
        return (name !== 'hostname' || text.length <= MAX_HOSTNAME_LENGTH) && test(text)
      },
    })
  }
}

/** Undefined: it is a format of numbers, or always holds. */
function testOf(format: Format): Test | undefined {
  if (format instanceof RegExp) return (text) => format.test(text)
  if (typeof format === 'function') return format
  if (typeof format !== 'object' || format.type === 'number') return undefined
  return testOf(format.validate as Format)
}

/** `uniqueItems` in time linear in the list; Ajv compares each with each. */
export const uniqueItems: FuncKeywordDefinition = {
  keyword: 'uniqueItems',
  type: 'array',
  schemaType: 'boolean',
  validate: Object.assign(areUnique, { errors: [] }),
}

/** One for all schemas: each instance brings compiled meta-schemas of its own, which are most of its size. */
const shared = createAjv()

function areUnique(this: unknown, wanted: boolean, items: readonly unknown[]): boolean {
  const twice = wanted ? repeated(items) : undefined
  if (twice === undefined) return true
  const message = `must NOT have duplicate items (items ## ${twice[0]} and ${twice[1]} are identical)`
  ;(uniqueItems.validate as SchemaValidateFunction).errors = [{ keyword: 'uniqueItems', message, params: {} }]
  return false
}

function repeated(items: readonly unknown[]): readonly [number, number] | undefined {
  const seen = new Map<string, number>()
  for (const [at, item] of items.entries()) {
    const text = canonical(item)
    const before = seen.get(text)
    if (before !== undefined) return [before, at]
    seen.set(text, at)
  }
  return undefined
}

/** Characters that are hashed in one step. */
const COMPARED_CHARACTERS_PER_STEP = 16

/** JSON with keys in order: equal values have the same text, and no others. */
function canonical(value: unknown): string {
  charge(2)
  if (typeof value === 'string') charge(value.length / COMPARED_CHARACTERS_PER_STEP)
  // JSON has no text for a number that is read as infinite.
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  chargeKeys(value)
  const entries = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`)
  return `{${entries.toSorted().join()}}`
}
