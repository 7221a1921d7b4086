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
  expect(late).toEqual([expect.stringMatching(/late\.ts: late:late is registered after the module has loaded/)])
  expect(handlers).toHaveLength(1)
})

test('all faults of a handler module are named at once, also its invalid numbers and several of one handler', async () => {
  const { handlers, faults } = await loadHandlers(
    join(import.meta.dirname, 'wrong'),
    () => {},
    () => {},
  )
  const file = join(import.meta.dirname, 'wrong', 'wrong.ts')
  expect(faults).toEqual(
    ['half', 'endless', 'text', 'zero']
      .map((name) => `handler module ${file}: handler ${name}: concurrency is a whole number above 0`)
      .concat(
        [
          'handler unknown: unknown option timeout (is timeoutMs meant?)',
          'handler unknown: unknown option retries (is retry meant?)',
          'handler unknown: unknown option colour',
          'handler policy: timeoutMs is 0, not a whole number from 1 to 2147483647',
          'handler policy: retry.maxAttempts is -1, not a whole number from 1 to 1000',
          'handler policy: unknown option retry.base (is baseMs meant?)',
          'handler rate: rate.limit is 2.5, not a whole number from 1 to 1000000',
          'handler rate: retry.baseMs is 20, more than retry.capMs (10)',
          'handler rate: rate needs both limit and perMs',
        ].map((fault) => `handler module ${file}: ${fault}`),
      ),
  )
  expect(handlers.map(({ definition }) => definition.name)).toEqual(['sound'])
})
