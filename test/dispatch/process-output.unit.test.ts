import { expect, test } from 'vitest'
import { crashStack, exitReason } from '../../src/dispatch/pool/process-output.ts'

const BLANK_LINES = '\n'.repeat(1_000_000)

test('the reason of a crash is found in output of mostly blank lines, in a time linear in its length', () => {
  const output = `${BLANK_LINES}  TypeError: no such thing\n    at act (/app/handlers/a.ts:1:2)\n${BLANK_LINES}`
  expect(exitReason(1, null, output)).toBe('the handler process exited with code 1: TypeError: no such thing')
  expect(crashStack(output)).toEqual(['at act (/app/handlers/a.ts:1:2)'])
})
