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

test('all faults of a handler module are named at once, also its invalid numbers', async () => {
  const { handlers, faults } = await loadHandlers(
    join(import.meta.dirname, 'wrong'),
    () => {},
    () => {},
  )
  const file = join(import.meta.dirname, 'wrong', 'wrong.ts')
  expect(faults).toEqual(
    ['half', 'endless', 'text', 'zero']
      .map((name) => `handler module ${file}: handler ${name}: concurrency is a whole number above 0`)
      .concat(`handler module ${file}: handler optional has an unknown option retry`),
  )
  expect(handlers.map(({ definition }) => definition.name)).toEqual(['sound'])
})
