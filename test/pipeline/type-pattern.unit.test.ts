import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compilePatterns } from '../../src/pipeline/type-routes.ts'
import { propertyParameters } from '../support/property.ts'

describe('an event-type pattern', () => {
  test.each([
    ['completion.finished', 'completion.finished', true],
    ['completion.finished', 'completion.finishedx', false],
    ['completion.*', 'completion.finished', true],
    ['completion.*', 'completion.finished.late', true],
    ['completion.*', 'completions.finished', false],
    ['*', 'anything.at.all', true],
    ['*.failed', 'batch.failed', true],
    ['*.failed', '.failed', true],
    ['a*b*c', 'a.x.b.y.c', true],
    ['a*b*c', 'a.c.b', false],
    ['a*bc*c', 'abc', false],
    ['ab*ba', 'aba', false],
    ['a.b', 'axb', false],
  ])('%s matches the type %s: %s', (pattern, type, expected) => {
    expect(compilePatterns([pattern])(type)).toBe(expected)
  })

  test('matches like the same pattern as a regular expression', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 })
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(pattern, text, (glob, type) => {
        const reference = new RegExp(
          `^${glob
            .split('*')
            .map((text) => RegExp.escape(text))
            .join('.*')}$`,
        )
        expect(compilePatterns([glob])(type)).toBe(reference.test(type))
      }),
      propertyParameters(),
    )
  })

  // One that tried each way to share out the letters would not return.
  test('takes no longer to match with more stars', () => {
    const matches = compilePatterns([`${'*a'.repeat(60)}*b*c`])
    expect(matches('a'.repeat(256))).toBe(false)
    expect(matches(`${'a'.repeat(254)}bc`)).toBe(true)
  })
})
