import type { FuncKeywordDefinition, SchemaValidateFunction } from 'ajv'
import { charge, chargeKeys } from './meter.ts'

/** `uniqueItems` in time linear in the list; Ajv compares each with each. */
export const uniqueItems: FuncKeywordDefinition = {
  keyword: 'uniqueItems',
  type: 'array',
  schemaType: 'boolean',
  validate: Object.assign(areUnique, { errors: [] }),
}

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
const CHARACTERS_PER_STEP = 16

/** JSON with keys in order: equal values have the same text, and no others. */
function canonical(value: unknown): string {
  charge(2)
  if (typeof value === 'string') charge(value.length / CHARACTERS_PER_STEP)
  // JSON has no text for a number that is read as infinite.
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  chargeKeys(value)
  const entries = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`)
  return `{${entries.toSorted().join()}}`
}
