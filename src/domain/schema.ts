import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { MAX_REASONS } from './limits.ts'

/** Why a value is not as its schema says; empty when it is. Names places, never values. */
export type SchemaCheck = (value: unknown) => readonly string[]

/**
 * Compiles a JSON Schema once. Nothing is coerced, stripped or filled in. Throws if the schema itself is not valid.
 * Ajv rather than TypeBox's compiler, because a handler's schema reaches this thread as plain JSON.
 */
export function compileSchema(schema: Readonly<Record<string, unknown>>): SchemaCheck {
  const ajv = new Ajv({
    allErrors: false,
    strict: false,
    coerceTypes: false,
    removeAdditional: false,
    useDefaults: false,
  })
  formats.default(ajv)
  const validate = ajv.compile(schema)
  return (value) =>
    validate(value)
      ? []
      : (validate.errors ?? []).slice(0, MAX_REASONS).map((error) => `${error.instancePath || '/'} ${error.message}`)
}
