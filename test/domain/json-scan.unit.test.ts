import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { valueAt } from '../../src/domain/json.ts'
import { scalarIn } from '../../src/domain/json-scan.ts'
import { propertyParameters } from '../support/property.ts'

const at = (text: string, path: string): unknown => {
  const found = scalarIn(Buffer.from(text), path)
  return found.ok ? found.value : found.reason
}

// None with a backslash: once V8 has met one, it takes other names that are written with an escape for it.
const names = ['a', 'b', 'token', 'é', '\u0000', '"', '0', '1', '']
const { json } = fc.letrec((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false, 0, -1.5e-7, 'x', '"}', '\\', 'é\n', '\ud83d\ude00'),
    fc.array(tie('json'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...names), tie('json'), { maxKeys: 4 }),
  ),
}))
const path = fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('.'))

/** The same JSON as another would write it: with spaces, and each character of its texts escaped. */
const strange = (text: string): string =>
  text.replace(/"(?:[^"\\]|\\.)*"|[[\]{},:]/g, (token) =>
    token.startsWith('"')
      ? `"${[...Array(JSON.parse(token).length).keys()].map((at) => escaped(JSON.parse(token), at)).join('')}"`
      : ` ${token}\n`,
  )
const escaped = (text: string, at: number): string => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`

const isScalar = (value: unknown): boolean => typeof value !== 'object' || value === null

describe('a scalar at a path of a JSON text', () => {
  test('is found as parsing would find it, however the text is written', () => {
    fc.assert(
      fc.property(json, path, fc.boolean(), (value, path, isStrange) => {
        const text = isStrange ? strange(JSON.stringify(value)) : JSON.stringify(value, null, 1)
        const parsed = valueAt(JSON.parse(text), path)
        expect(at(text, path)).toEqual(isScalar(parsed) ? parsed : undefined)
      }),
      propertyParameters({ runs: 2_000 }),
    )
  })

  test.each([
    ['{"a":{"b":1},"a":{"b":2}}', 'a.b', 2],
    ['{"a":{"b":1},"a":{}}', 'a.b', undefined],
    ['{"a":1,"\\u0061":2}', 'a', 2],
    ['{"a\\n\\t\\b\\f\\r\\/\\"\\\\":1}', 'a\n\t\b\f\r/"\\', 1],
    ['\ufeff{"a":1}', 'a', 1],
    ['{"__proto__":{"b":1}}', '__proto__.b', 1],
    ['{"a":[7,8,9]}', 'a.2', 9],
    ['{"a":[7,8,9]}', 'a.3', undefined],
    ['{"a":{"b":1}}', 'a', undefined],
    ['"text"', '', 'text'],
    ['{"a":1}', 'toString', undefined],
  ])('is read from %s at %s as %j', (text, path, value) => {
    expect(at(text, path)).toBe(value)
  })

  test.each([
    '',
    ' ',
    '{',
    '{"a"',
    '{"a":',
    '{"a":}',
    '{"a":1',
    '{"a":"x',
    '{"a":[',
    '{a:1}',
    '{"a":01}',
    '{"a":"\n"}',
  ])('is not read from %j, which is not JSON', (text) => {
    expect(at(text, 'a')).toBe('the body is not valid JSON')
  })

  test('is found whatever else the text contains, however deep or malformed', () => {
    const rest = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    expect(at(`{"rest":${rest},"a":1}`, 'a')).toBe(1)
    expect(at('{"rest":nonsense,"a":1}', 'a')).toBe(1)
  })

  test('is found behind objects of many different shapes', () => {
    const items = Array.from({ length: 60_000 }, (_, at) => ({ [`k${at}`]: at }))
    expect(scalarIn(Buffer.from(JSON.stringify({ items, token: 'x' })), 'token')).toEqual({ ok: true, value: 'x' })
  })
})
