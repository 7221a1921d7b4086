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
import { instrument, METER, type Toll } from './count-steps.ts'
import { compilePattern } from './pattern.ts'
import { charge, chargeComparing, chargeKeys, chargeUnbounded, openBudget } from './step-budget.ts'

/**
 * Gives why a value does not match its schema; empty if it matches. Names places, never values. Counts its work, so that it can
 * run under a budget (`openBudget`).
 */
export type SchemaCheck = (value: unknown) => readonly string[]

/** Characters of the longest schema that runs under a budget: in a longer one Node may need too long to compile a part when an event first reaches it. */
const MAX_COUNTED_LENGTH = 16_384

/** How many characters of a string one step looks at. */
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

/** Does not coerce, remove or fill in values: the checked value stays unchanged. */
function createAjv(): Ajv {
  const regExp = Object.assign(compilePattern, { code: 'compilePattern' })
  const ajv = new Ajv({
    allErrors: false,
    strict: false,
    // A module may give NaN or Infinity, which are not JSON numbers.
    strictNumbers: true,
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
    // Node's compiler removes the same dead code in a third of the time.
    code: { regExp, optimize: false },
  })
  ajv.removeKeyword('uniqueItems').addKeyword(uniqueItems).addKeyword(meter)
  addCountedFormats(ajv)
  return ajv
}

/**
 * Compiles a JSON Schema. Throws if the schema itself is not valid.
 * Uses Ajv and not TypeBox's compiler, because a handler's schema reaches this process as plain JSON.
 */
export function compileSchema(schema: Readonly<Record<string, unknown>>): SchemaCheck {
  const text = JSON.stringify(schema)
  if (/"\$async":true/.test(text)) throw new Error('$async is not supported')
  const plain: AnySchemaObject = JSON.parse(text)
  const counted = text.length > MAX_COUNTED_LENGTH ? undefined : instrument(plain)
  // An Ajv instance rejects a second schema with the same `$id`, and two handlers may use the same one.
  const ajv = text.includes('"$id"') ? createAjv() : shared
  void ajv.validateSchema(plain, true)
  const validate = ajv.compile(counted?.schema ?? plain)
  ajv.removeSchema(validate.schema)
  // Node compiles a function at its first call, which takes long for a large schema.
  void openBudget(0)(() => validate(undefined))
  return (value) => {
    if (counted === undefined) chargeUnbounded()
    else chargeToll(value, counted.toll)
    return holds(validate, value) ? [] : (validate.errors ?? [UNCHECKED]).slice(0, MAX_REASONS).map(describe)
  }
}

/** As `compileSchema`, for checks with a budget: a schema whose checks would all be aborted is compiled only if a check runs without a budget. */
export function compileBounded(schema: Readonly<Record<string, unknown>>): SchemaCheck {
  if (JSON.stringify(schema).length <= MAX_COUNTED_LENGTH) return compileSchema(schema)
  let check: SchemaCheck | undefined
  return (value) => {
    chargeUnbounded()
    check ??= compileSchema(schema)
    return check(value)
  }
}

/** The reason for a value that Ajv could not check. */
const UNCHECKED: Pick<ErrorObject, 'instancePath' | 'message' | 'params'> = {
  instancePath: '',
  message: 'cannot be checked',
  params: {},
}

/** Ajv throws a `TypeError` if it compares a value that has members of its own named `toString` or `valueOf`. */
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
/** Bounds Ajv's message, which may hold a whole pattern. */
const MAX_MESSAGE_LENGTH = 512

function describe({ instancePath, message = '', params }: typeof UNCHECKED): string {
  const { additionalProperty } = params as { additionalProperty?: string }
  const which =
    additionalProperty === undefined ? '' : `: ${JSON.stringify(additionalProperty.slice(0, MAX_KEY_LENGTH))}`
  return `${instancePath.slice(0, MAX_PATH_LENGTH) || '/'} ${message.slice(0, MAX_MESSAGE_LENGTH)}${which}`
}

type Test = (text: string) => boolean

/** How many characters a format looks at in one step. */
const FORMAT_CHARACTERS_PER_STEP = 4
/** `url` may look at each character once per other character. */
const URL_SQUARE_PER_STEP = 16
/** The longest host name. The expression of `hostname` looks ahead over the whole text first, so longer texts are refused before. */
const MAX_HOSTNAME_LENGTH = 255

/**
 * Adds the formats of ajv-formats; each charges for its work first. Their expressions are anchored, and all but `url` are linear
 * in the text.
 */
function addCountedFormats(ajv: Ajv): void {
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

/** Undefined: it is a format of numbers, or one that accepts every value. */
function testOf(format: Format): Test | undefined {
  if (format instanceof RegExp) return (text) => format.test(text)
  if (typeof format === 'function') return format
  if (typeof format !== 'object' || format.type === 'number') return undefined
  return testOf(format.validate as Format)
}

/** `uniqueItems` in time linear in the list; Ajv's own compares every pair. */
const uniqueItems: FuncKeywordDefinition = {
  keyword: 'uniqueItems',
  type: 'array',
  schemaType: 'boolean',
  validate: Object.assign(areUnique, { errors: [] }),
}

/** One instance for all schemas: each instance compiles its own meta-schemas, which are most of its size. */
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

/** How many characters one step hashes. */
const COMPARED_CHARACTERS_PER_STEP = 16

/** JSON with sorted keys: two values have the same text if and only if they are equal. */
function canonical(value: unknown): string {
  charge(2)
  if (typeof value === 'string') charge(value.length / COMPARED_CHARACTERS_PER_STEP)
  // `JSON.stringify` gives null for a number that was parsed as infinite.
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  chargeKeys(value)
  const entries = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`)
  return `{${entries.toSorted().join()}}`
}
