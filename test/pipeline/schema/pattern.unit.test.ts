import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compilePattern } from '../../../src/pipeline/schema/pattern.ts'
import { openBudget } from '../../../src/pipeline/schema/step-budget.ts'
import { propertyParameters } from '../../support/property.ts'

/** Whether it is matched in linear time, so that it may run where time is bounded. */
const isLinear = (pattern: string): boolean => openBudget(0)(() => compilePattern(pattern).test('')) !== undefined

const pieces = [
  'a',
  'b',
  'B',
  '0',
  ' ',
  '-',
  '/',
  '_',
  'é',
  '😀',
  '!',
  '"',
  ',',
  ':',
  '&',
  '~',
  '.',
  '\\d',
  '\\D',
  '\\w',
  '\\W',
  '\\s',
  '\\S',
  '\\b',
  '\\B',
  '^',
  '$',
  '\\.',
  '\\/',
  '\\\\',
  '\\[',
  '\\]',
  '\\^',
  '\\t',
  '\\v',
  '\\0',
  '\\x41',
  '\\u00e9',
  '\\u{1F600}',
  '\\cA',
  '\\p{L}',
  '\\P{Lu}',
  '\\p{Nd}',

  '[ab]',
  '[^ab]',
  '[a-z]',
  '[^\\s]',
  '[\\s\\S]',
  '[\\S-]',
  '[\\w-]',
  '[\\b]',
  '[.]',
  '[[]',
  '[^\\]]',
  '[\\d\\-a]',
  '[a^$]',
]
const quantifiers = ['', '', '', '*', '+', '?', '{2}', '{1,3}', '{0,}', '*?', '+?']
const atom = fc.tuple(fc.constantFrom(...pieces), fc.constantFrom(...quantifiers)).map((parts) => parts.join(''))
const sequence = fc.array(atom, { minLength: 1, maxLength: 5 }).map((atoms) => atoms.join(''))
const grouped = fc
  .tuple(sequence, fc.constantFrom('(', '(?:', '(?<name>'), sequence, fc.constantFrom(...quantifiers), sequence)
  .map(([before, open, inner, quantifier, after]) => `${before}${open}${inner}|${after})${quantifier}`)
const anyPattern = fc.oneof(sequence, grouped).filter((pattern) => {
  try {
    new RegExp(pattern, 'u')
    return true
  } catch {
    return false
  }
})
const characters = [
  ...Array.from('aabB0 -/_é😀!".,:[]^$\\&~\t\n\r\v\0'),
  '\u2028',
  '\u00a0',
  '\ufeff',
  '\u0085',
  '\ud800',
  '\u0001',
]
const text = fc.array(fc.constantFrom(...characters), { maxLength: 12 }).map((parts) => parts.join(''))

describe('a pattern of a schema', () => {
  test('means the same as in ECMAScript in both engines', () => {
    let linear = 0
    fc.assert(
      fc.property(anyPattern, fc.array(text, { minLength: 4, maxLength: 8 }), (pattern, texts) => {
        const [compiled, native] = [compilePattern(pattern), new RegExp(pattern, 'u')]
        if (isLinear(pattern)) linear++
        for (const each of texts)
          expect([pattern, each, compiled.test(each)]).toEqual([pattern, each, native.test(each)])
      }),
      propertyParameters({ runs: 400 }),
    )
    expect(linear).toBeGreaterThan(250)
  })

  test.each([
    '^([a-z0-9]+[-_.]?)+$',
    '(x+x+)+y',
    '^(.*)$',
    '^[^@\\s]+@[^@\\s]+\\.[a-z]{2,}$',
    '^https?://.+$',
    '^\\d{4}-\\d{2}-\\d{2}T[\\d:.]+Z$',
    '[\\s\\S]',
    '^(?<year>\\d{4})$',
    '',
  ])('is matched in linear time if it is an ordinary one like %s', (pattern) => {
    expect(isLinear(pattern)).toBe(true)
  })

  test.each([
    ['looks ahead', '^(?=a)a+$'],
    ['looks behind', '(?<!a)b'],
    ['refers back', '(a)\\1'],
    ['refers back by name', '(?<n>a)\\k<n>'],
    ['repeats without measure', '(?:x{100}){100}'],
    ['has an empty class', '[]'],
    ['has the opposite of an empty class', 'a[^]'],
    ['has a property that RE2 knows otherwise', '\\p{Emoji}'],
    ['changes its flags', '(?i:a)'],
  ])('that %s does not run under a budget, and works without one', (_, pattern) => {
    expect(isLinear(pattern)).toBe(false)
    expect(compilePattern(pattern).test('aab')).toBe(new RegExp(pattern, 'u').test('aab'))
  })

  test('that is not valid is refused as in ECMAScript', () => {
    expect(() => compilePattern('(')).toThrow(SyntaxError)
    expect(() => compilePattern('\\A')).toThrow(SyntaxError)
  })
})
