import { Ajv, type ErrorObject } from 'ajv'
import formats from 'ajv-formats'
import { MAX_REASONS } from './limits.ts'

/** Why a value is not as its schema says; empty when it is. Names places, never values. */
export type SchemaCheck = (value: unknown) => readonly string[]

/** Nothing is coerced, stripped or filled in: what is checked stays as it came. */
function createAjv(): Ajv {
  const ajv = new Ajv({
    allErrors: false,
    strict: false,
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
  })
  formats.default(ajv)
  return ajv
}

/** One for all schemas: each instance brings compiled meta-schemas of its own, which are most of its size. */
const shared = createAjv()

/**
 * Compiles a JSON Schema once. Throws if the schema itself is not valid.
 * Ajv rather than TypeBox's compiler, because a handler's schema reaches this process as plain JSON.
 */
export function compileSchema(schema: Readonly<Record<string, unknown>>): SchemaCheck {
  // An instance knows a schema by its $id, and two handlers may use the same one.
  const validate = (JSON.stringify(schema).includes('"$id"') ? createAjv() : shared).compile(schema)
  return (value) => (validate(value) ? [] : (validate.errors ?? []).slice(0, MAX_REASONS).map(describe))
}

const MAX_KEY_LENGTH = 64

function describe({ instancePath, message, params }: ErrorObject): string {
  const { additionalProperty } = params as { additionalProperty?: string }
  const which =
    additionalProperty === undefined ? '' : `: ${JSON.stringify(additionalProperty.slice(0, MAX_KEY_LENGTH))}`
  return `${instancePath || '/'} ${message}${which}`
}
