import { expect, test } from 'vitest'
import { retryDelayMs } from '../../src/domain/retry.ts'

const policy = { maxAttempts: 12, baseMs: 1000, capMs: 60_000 }

test('the wait before a retry is uniform up to a ceiling that doubles with each attempt', () => {
  expect(retryDelayMs(policy, 1, () => 0)).toBe(0)
  expect(retryDelayMs(policy, 1, () => 0.5)).toBe(500)
  expect(retryDelayMs(policy, 4, () => 0.5)).toBe(4000)
})

test('the ceiling stays at the cap, however many attempts there were', () => {
  expect(retryDelayMs(policy, 7, () => 0.999999)).toBeLessThanOrEqual(60_000)
  expect(retryDelayMs(policy, 1_000, () => 0.5)).toBe(30_000)
})
