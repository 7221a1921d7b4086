import fc from 'fast-check'
import { expect } from 'vitest'
import { operation, timeMs } from './operation.ts'
import { pruned } from './store-samples.ts'

export const prune = operation(
  'prune',
  fc.record({ beforeMs: timeMs, most: fc.integer({ min: 1, max: 4 }) }),
  async ({ beforeMs, most }, { store, model }) => {
    expect(await pruned(store, beforeMs, most)).toBe(model.prune(beforeMs, most))
  },
)

export const pass = operation('pass', fc.constantFrom(1, 10, 50, 500), async (ms, run) => {
  run.time.nowMs += ms
})
