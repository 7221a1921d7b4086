import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileBounded, compileSchema } from '../../../src/pipeline/schema/schema.ts'
import { openBudget } from '../../../src/pipeline/schema/step-budget.ts'
import { propertyParameters } from '../../support/property.ts'
import { threadCpuMs } from '../../support/thread-cpu.ts'

type Json = Record<string, unknown>

/** Generous: it says that a check is bounded, not how fast this machine is. Unbounded, each of these takes seconds or years. */
const BOUND_MS = 1_000

const times = <Value>(count: number, make: (at: number) => Value): Value[] =>
  Array.from({ length: count }, (_, at) => make(at))
const keyed = (count: number): Json => Object.fromEntries(times(count, (at) => [`key${at}`, at]))
const keyedByUrl = (count: number): Json =>
  Object.fromEntries(times(count, (at) => [`https://acme.example/a/b/c/d/e/f/${at}`, at]))
const nested = (depth: number): Json => (depth === 0 ? { bad: 1 } : { next: nested(depth - 1) })
const bytesOf = (value: unknown): number => JSON.stringify(value).length

/** What a check comes to within the budget of one event, and how long it took. */
function checked(schema: Json, value: unknown) {
  const check = compileSchema(schema)
  const bytes = bytesOf(value)
  const from = threadCpuMs()
  const reasons = openBudget(bytes)(() => check(value))
  return { reasons, tookMs: threadCpuMs() - from }
}

const twice = { anyOf: [{ $ref: '#' }, { $ref: '#' }] }

const endless: [string, Json, unknown][] = [
  ['a pattern that backtracks without end', { pattern: '^(?=a)([a-z0-9]+[-_.]?)+$' }, `${'a'.repeat(40)}!`],
  ['a schema that leads to itself twice', { properties: { next: twice, bad: { type: 'string' } } }, nested(60)],
  [
    'a schema that leads to itself twice by an $id',
    { $id: 'T', properties: { next: { oneOf: [{ $ref: 'T' }, { not: { $ref: 'T' } }] } } },
    nested(60),
  ],
  ['a schema that is itself', { $ref: '#' }, 1],
  ['definitions that double', doubling(30), 1],
  [
    'many alternatives of many items',
    { items: { anyOf: times(200, (at) => ({ const: at })) } },
    times(50_000, () => 199),
  ],
  [
    'a list searched again and again without a result',
    { anyOf: times(300, () => ({ contains: { type: 'null' } })) },
    times(10_000, () => 1),
  ],
  ['a long text measured again and again', { anyOf: times(300, () => ({ minLength: 2e6 })) }, 'x'.repeat(200_000)],
  ['many keys counted again and again', { anyOf: times(300, () => ({ minProperties: 1e6 })) }, keyed(10_000)],
  ['many keys compared with many objects', { enum: times(1_000, (at) => ({ key0: at })) }, keyed(10_000)],
  [
    'many keys deep within compared with many objects',
    { enum: times(1_000, (at) => ({ a: [{ x: at }] })) },
    { a: [keyed(5_000)] },
  ],
  [
    'a key that each branch that fails writes into its path',
    { additionalProperties: { anyOf: times(200, (at) => ({ const: `x${at}` })) } },
    { ['~'.repeat(60_000)]: 'x199' },
  ],
  [
    'long keys, deep within',
    { additionalProperties: { additionalProperties: { anyOf: times(200, (at) => ({ const: `x${at}` })) } } },
    { ['a'.repeat(1_000)]: Object.fromEntries(times(50, (at) => [`${at}${'b'.repeat(1_000)}`, 'x199'])) },
  ],
  [
    'many long keys that each branch that fails writes into its path',
    { additionalProperties: { anyOf: times(200, (at) => ({ const: `x${at}` })) } },
    Object.fromEntries(times(200, (at) => [`${at}${'/~'.repeat(128)}`, 'x199'])),
  ],
  ['a great many keys', { additionalProperties: { type: 'number' } }, keyed(80_000)],
  ['a format that looks at each pair of characters', { format: 'url' }, `http://${':'.repeat(50_000)}`],
  [
    'a schema that would count for itself',
    { 'holdfast:meter': {}, ...listOf({ 'holdfast:meter': { steps: -1e9 } }) },
    times(300_000, () => 1),
  ],
  [
    'a schema of which Node compiles a large part when an event first reaches it',
    referringTo(300),
    { a: { self: {} } },
  ],
  ['a reference that nothing counts', { $ref: '#/else/items', else: { items: { type: 'number' } } }, 1],
]

function listOf(items: Json): Json {
  return { items: { ...items, anyOf: times(20, (at) => ({ const: at })) } }
}

function referringTo(properties: number): Json {
  const all = Object.fromEntries(
    times(properties, (at) => [`p${at}`, { type: 'string', minLength: 1, maxLength: at + 1 }]),
  )
  const large = { type: 'object', properties: { ...all, self: { $ref: '#/definitions/large' } } }
  return { properties: { a: { $ref: '#/definitions/large' } }, definitions: { large } }
}

function doubling(depth: number): Json {
  const definitions = Object.fromEntries(
    times(depth, (at) => [`d${at}`, { anyOf: times(2, () => ({ $ref: `#/definitions/d${at + 1}` })) }]),
  )
  return { $ref: '#/definitions/d0', definitions: { ...definitions, [`d${depth}`]: { type: 'string' } } }
}

describe('a check within the budget of one event', () => {
  test.each(endless)('is aborted in time for %s', (_, schema, value) => {
    const { reasons, tookMs } = checked(schema, value)
    expect(reasons).toBeUndefined()
    expect(tookMs).toBeLessThan(BOUND_MS)
  })

  const cheap: [string, Json, unknown, boolean][] = [
    ['the pattern of thirty letters', { pattern: '^([a-z0-9]+[-_.]?)+$' }, `${'a'.repeat(30)}!`, false],
    ['a plain recursion', { properties: { next: { $ref: '#' }, bad: { type: 'string' } } }, nested(60), false],
    ['unique items', { uniqueItems: true }, times(500, (n) => ({ n })), true],
    [
      'repeated items, their keys in another order',
      { uniqueItems: true },
      [{ a: 1, b: [2] }, 0, { b: [2], a: 1 }],
      false,
    ],
    [
      'numbers beyond the range of a double',
      { uniqueItems: true },
      JSON.parse('[1e400,-1e400,null,0,"Infinity"]'),
      true,
    ],
    ['zero twice', { uniqueItems: true }, [0, -0], false],
    ['keys that are URLs', { additionalProperties: { type: 'number' } }, keyedByUrl(200), true],
    ['an object of an enum', { enum: [{ a: [{ x: 1 }] }] }, { a: [{ x: 1 }] }, true],
    ['a large text of no interest', { properties: { image: { type: 'string' } } }, { image: 'x'.repeat(1e6) }, true],
    [
      'ordinary lists',
      { items: { required: ['n'], properties: { n: { type: 'integer' } } } },
      times(2_000, (n) => ({ n })),
      true,
    ],
    ['a closed object', { properties: { a: {} }, additionalProperties: false }, { a: 1, b: 2 }, false],
    ['a date', { format: 'date-time' }, '2026-11-26T10:00:00Z', true],
    ['a host name', { format: 'hostname' }, 'a.example', true],
  ]
  test.each(cheap)('completes if it is cheap, as for %s', (_, schema, value, holds) => {
    const { reasons } = checked(schema, value)
    expect(reasons?.length).toBe(holds ? 0 : 1)
  })

  test('is counted together with all other checks of the event', () => {
    const check = compileSchema({ items: { type: 'number' } })
    const within = openBudget(0)
    const results = times(100, () => within(() => check(times(15_000, Number))))
    expect(results[0]).toEqual([])
    expect(results.at(-1)).toBeUndefined()
  })

  test('leaves a full budget to the next event, and none to checks without a budget', () => {
    const check = compileSchema({ uniqueItems: true })
    const many = times(50_000, (n) => ({ n }))
    expect(openBudget(0)(() => check(many))).toBeUndefined()
    expect(openBudget(0)(() => check([1, 2]))).toEqual([])
    expect(check(many)).toEqual([])
  })

  test('does not run or compile a large schema, which a check without a budget does', () => {
    const schema = referringTo(300)
    const check = compileBounded(schema)
    expect(openBudget(0)(() => check({ a: 1 }))).toBeUndefined()
    expect(check({ a: 1 })).toEqual(['/a must be object'])
    // Until it is needed nothing is known of it.
    expect(() => compileBounded({ ...schema, type: 'none' })({})).toThrow('data/type')
    expect(compileBounded({ type: 'string' })(1)).toEqual(['/ must be string'])
  })

  test('does not quote a long pattern', () => {
    const [reason = ''] = compileSchema({ pattern: `^${'a'.repeat(10_000)}$` })('b')
    expect(reason).toMatch(/^\/ must match pattern "\^a+$/)
    expect(reason.length).toBeLessThan(600)
  })

  test('reports a schema that is not valid by the places that its author wrote', () => {
    expect(() => compileSchema({ properties: { a: { type: 'txt' } } })).toThrow('data/properties/a/type')
  })

  test('rejects a value that Ajv cannot compare with a constant', () => {
    const check = compileSchema({ enum: [{ a: 1 }] })
    expect(check({ toString: false })).toEqual(['/ cannot be checked'])
    expect(check({ valueOf: 1 })).toEqual(['/ cannot be checked'])
    expect(check({ a: 1 })).toEqual([])
  })

  test('refuses an asynchronous schema', () => {
    expect(() => compileSchema({ $async: true, type: 'object' })).toThrow('$async')
  })
})

/** What plain Ajv can compare. */
const isComparable = (value: unknown): boolean => !/"(toString|valueOf)":/.test(JSON.stringify(value))

/** Small schemas of every keyword, and small values for them. */
function schemas(depth: number): fc.Arbitrary<Json> {
  const value = fc.jsonValue({ maxDepth: 1 }).filter(isComparable)
  const leaf = {
    type: fc.constantFrom('string', 'number', 'integer', 'object', 'array', 'boolean', 'null'),
    enum: fc.uniqueArray(value, { minLength: 1, maxLength: 3, selector: (each) => JSON.stringify(each) }),
    const: value,
    minLength: fc.nat(3),
    maxLength: fc.nat(3),
    pattern: fc.constantFrom('^a', 'b$', '^(.*)$', '(?=a)'),
    format: fc.constantFrom('date-time', 'email', 'uri', 'url', 'hostname', 'uuid', 'int32'),
    minimum: fc.integer({ min: -3, max: 3 }),
    required: fc.uniqueArray(fc.constantFrom('a', 'b', 'c')),
    minProperties: fc.nat(2),
    maxProperties: fc.nat(2),
    uniqueItems: fc.boolean(),
    minItems: fc.nat(2),
    description: fc.constant('said'),
  }
  if (depth === 0) return few(leaf)
  const sub = schemas(depth - 1)
  const some = fc.array(sub, { minLength: 1, maxLength: 2 })
  const map = (...keys: string[]) => fc.dictionary(fc.constantFrom(...keys), sub, { maxKeys: 2 })
  const conditional = fc
    .tuple(sub, sub, sub)
    .map((parts) => Object.fromEntries(['if', 'then', 'else'].map((key, at) => [key, parts[at]])))
  const branch = {
    properties: map('a', 'b', 'c'),
    patternProperties: map('^a', 'b'),
    additionalProperties: fc.oneof(fc.boolean(), sub),
    propertyNames: sub,
    dependencies: fc.dictionary(fc.constantFrom('a', 'b'), fc.oneof(sub, fc.constant(['c'])), { maxKeys: 1 }),
    items: fc.oneof(sub, some),
    additionalItems: fc.oneof(fc.boolean(), sub),
    contains: sub,
    allOf: some,
    anyOf: some,
    oneOf: some,
    not: sub,
  }
  return fc.oneof(few(branch), conditional, few({ ...leaf, ...branch }))
}

/** Two or three of these keywords. */
const few = (keywords: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Json> =>
  fc
    .subarray(Object.keys(keywords), { minLength: 1, maxLength: 3 })
    .chain((names) =>
      fc.record(Object.fromEntries(names.map((name) => [name, keywords[name] as fc.Arbitrary<unknown>]))),
    )

test('a schema gives the same result with and without the counting of its work', () => {
  const ajv = new Ajv({ strict: false })
  formats.default(ajv)
  const values = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }).filter(isComparable),
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.jsonValue({ maxDepth: 1 }).filter(isComparable)),
    fc.array(fc.constantFrom<unknown>(1, 'a', 'ab', null, { a: 1 })),
  )
  fc.assert(
    fc.property(schemas(2), fc.array(values, { minLength: 3, maxLength: 6 }), (given, tried) => {
      const plain = JSON.parse(JSON.stringify(given))
      const [check, reference] = [compileSchema(plain), ajv.compile(plain)]
      for (const value of tried) {
        const counted = openBudget(100)(() => check(value)) ?? check(value)
        expect([given, value, counted.length === 0]).toEqual([given, value, reference(value)])
      }
    }),
    propertyParameters({ runs: 200 }),
  )
})
