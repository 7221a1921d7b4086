import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadHandlers } from '../../src/dispatch/load-handlers.ts'
import { registerLate } from './late/late.ts'

test('a module may register until what it returned has resolved, and no later', async () => {
  const { handlers, faults } = await loadHandlers(join(import.meta.dirname, 'late'), () => {})
  expect(faults).toEqual([])
  expect(handlers.map(({ registration }) => registration.name)).toEqual(['late:awaited'])
  expect(registerLate).toThrow('too late')
})
