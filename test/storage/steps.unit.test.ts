import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { EVENTS_PER_STEP, MAX_EVENTS_READ, Steps } from '../../src/storage/shared/list-pages.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

/** After how many steps a page ends, each of which takes so long. */
function stepsOf(stepMs: number): number {
  const steps = new Steps()
  for (let count = 1; ; count++) {
    vi.advanceTimersByTime(stepMs)
    if (steps.areOver()) return count
  }
}

test('on a machine with time for it, a page of events passes over the most that it may', () => {
  expect(stepsOf(1)).toBe(MAX_EVENTS_READ / EVENTS_PER_STEP)
})

test('on a busy machine, a page of events ends after the first step that passes 120 ms, and never without a step', () => {
  expect(stepsOf(50)).toBe(3)
  expect(stepsOf(5_000)).toBe(1)
})
