import { expect, test } from 'vitest'
import { callErrorOf } from '../../src/tasks/provider-calls.ts'

const NOW_MS = Date.parse('2026-11-26T16:00:00Z')
const waitOf = (retryAfter: string) =>
  callErrorOf({ status: 429, headers: { 'retry-after': retryAfter } }, NOW_MS).retryAfterMs

test.each([
  ['40', 40_000],
  [' 40 ', 40_000],
  ['40\t', 40_000],
  ['0040', 40_000],
  ['1.5', 1_500],
  ['40.5', 40_500],
  ['0', 0],
  ['99999999999999999999999', 3_600_000],
  ['Thu, 26 Nov 2026 16:01:00 GMT', 60_000],
  ['Thursday, 26-Nov-26 16:01:00 GMT', 60_000],
  ['Thu Nov 26 16:01:00 2026', 60_000],
  ['Fri, 31 Dec 9999 23:59:59 GMT', 3_600_000],
  ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
])('a Retry-After of %j makes the source wait', (value, ms) => {
  expect(waitOf(value)).toBe(ms)
})

test.each(['', '-5', '+60', '0x40', '1e3', '30, 60', '40;', 'soon', '40 seconds'])(
  'a Retry-After of %j is not valid and is ignored',
  (value) => {
    expect(waitOf(value)).toBeUndefined()
  },
)
