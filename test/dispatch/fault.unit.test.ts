import { expect, test } from 'vitest'
import { faultOf, framesIn } from '../../src/dispatch/pool/fault.ts'

const BLANK_LINES = '\n'.repeat(1_000_000)

test('of last words that are mostly blank lines the end is told all the same, in a time that grows with their length', () => {
  const lastWords = `${BLANK_LINES}  TypeError: no such thing\n    at act (/app/handlers/a.ts:1:2)\n${BLANK_LINES}`
  expect(faultOf(1, null, lastWords)).toBe('the handler process exited with code 1: TypeError: no such thing')
  expect(framesIn(lastWords)).toEqual(['at act (/app/handlers/a.ts:1:2)'])
})
