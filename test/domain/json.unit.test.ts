import { describe, expect, test } from 'vitest'
import { parseJson, valueAt } from '../../src/domain/json.ts'

const parse = (text: string | Buffer) => parseJson(Buffer.from(text as string))

describe('parsing a body', () => {
  test('gives its value', () => {
    expect(parse('{"a":[1,2]}')).toEqual({ ok: true, value: { a: [1, 2] } })
  })

  test('passes over a byte-order mark', () => {
    expect(parse('\uFEFF{"a":1}')).toEqual({ ok: true, value: { a: 1 } })
  })

  test.each([
    ['an empty body', '', 'the body is empty'],
    ['a body that is not JSON', 'hello', 'the body is not valid JSON'],
    ['half a document', '{"a":', 'the body is not valid JSON'],
    ['invalid UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'the body is not valid UTF-8'],
    ['a body of 65 nested arrays', '['.repeat(65) + ']'.repeat(65), 'the body nests deeper than 64'],
  ])('refuses %s with its reason', (_, text, reason) => {
    expect(parse(text)).toEqual({ ok: false, reason })
  })

  test('counts no brackets inside strings', () => {
    expect(parse(JSON.stringify({ text: '[{'.repeat(100) + '\\"[[['.repeat(50) })).ok).toBe(true)
  })

  test('refuses half a million brackets without parsing them', () => {
    expect(parse('['.repeat(500_000))).toEqual({ ok: false, reason: 'the body nests deeper than 64' })
  })

  test('keeps __proto__ as an ordinary key', () => {
    const parsed = parse('{"__proto__":{"polluted":true},"type":"a.b"}')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    expect(parsed.ok && valueAt(parsed.value, 'polluted')).toBeUndefined()
    expect(parsed.ok && valueAt(parsed.value, '__proto__.polluted')).toBe(true)
  })
})

describe('a path into a body', () => {
  test.each([
    ['', { a: 1 }, { a: 1 }],
    ['a.b', { a: { b: 2 } }, 2],
    ['a.b', { a: null }, undefined],
    ['a.length', { a: 'text' }, undefined],
    ['constructor.name', {}, undefined],
    ['toString', {}, undefined],
  ])('such as %j leads through own properties only', (path, value, found) => {
    expect(valueAt(value, path)).toEqual(found)
  })
})
