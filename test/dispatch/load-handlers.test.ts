import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadHandlers } from '../../src/dispatch/process/load-handlers.ts'
import { registerLate } from './late/late.ts'

test('a module may register until what it returned has resolved; what comes later is named and ignored', async () => {
  const late: string[] = []
  const { handlers, faults } = await loadHandlers(
    join(import.meta.dirname, 'late'),
    () => {},
    (fault) => late.push(fault),
  )
  expect(faults).toEqual([])
  expect(handlers.map(({ registration }) => registration.name)).toEqual(['late:awaited'])
  expect(late).toEqual([])
  registerLate()
  expect(late).toEqual([expect.stringMatching(/late\.ts: late:late is registered too late/)])
  expect(handlers).toHaveLength(1)
})
