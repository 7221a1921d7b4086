import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadHandlers } from '../../src/dispatch/process/load-handlers.ts'
import { registerLate } from './late/late.ts'

test('a handler module may register handlers until its promise has resolved, and handlers that it registers later are named and ignored', async () => {
  const late: string[] = []
  const { handlers, faults } = await loadHandlers(
    join(import.meta.dirname, 'late'),
    () => {},
    (fault) => late.push(fault),
  )
  expect(faults).toEqual([])
  expect(handlers.map(({ definition }) => definition.name)).toEqual(['late:awaited'])
  expect(late).toEqual([])
  registerLate()
  expect(late).toEqual([expect.stringMatching(/late\.ts:11:47: late:late is registered after the module has loaded/)])
  expect(handlers).toHaveLength(1)
})

test('all faults of a handler module are named at once, also several of one handler, each with the line of its call', async () => {
  const { handlers, faults } = await loadHandlers(
    join(import.meta.dirname, 'wrong'),
    () => {},
    () => {},
  )
  expect(faults).toEqual(
    [
      '7:10: handler half: concurrency is 1.5, not a whole number above 0',
      '8:10: handler endless: concurrency is Infinity, not a whole number above 0',
      '9:10: handler text: concurrency is "4", not a whole number above 0',
      '10:10: handler zero: concurrency is 0, not a whole number above 0',
      '11:10: handler unknown: unknown option timeout (is timeoutMs meant?)',
      '11:10: handler unknown: unknown option retries (is retry meant?)',
      '11:10: handler unknown: unknown option colour',
      '12:10: handler policy: timeoutMs is 0, not a whole number from 1 to 2147483647',
      '12:10: handler policy: retry.maxAttempts is -1, not a whole number from 1 to 1000',
      '12:10: handler policy: unknown option retry.base (is baseMs meant?)',
      '13:10: handler rate: rate.limit is 2.5, not a whole number from 1 to 1000000',
      '13:10: handler rate: retry.baseMs is 20, more than retry.capMs (10)',
      '13:10: handler rate: rate needs both limit and perMs',
    ].map((fault) => `handler module test/dispatch/wrong/wrong.ts:${fault}`),
  )
  expect(handlers.map(({ definition }) => definition.name)).toEqual(['sound'])
})
