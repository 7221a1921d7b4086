import { expect, test } from 'vitest'
import { RateLimiter } from '../../src/tasks/call-throttle.ts'

test('a rate limiter lets a second’s calls go at once, and the next ones one after the other', () => {
  let nowMs = 0
  const limit = new RateLimiter(10, () => nowMs)
  expect(limit.available()).toBe(10)
  for (let n = 0; n < 10; n++) expect(limit.reserve()).toBe(0)
  expect(limit.available()).toBe(0)
  expect([limit.reserve(), limit.reserve(), limit.reserve()]).toEqual([100, 200, 300])
  // Those three are still owed.
  nowMs += 300
  expect(limit.available()).toBe(0)
  expect(limit.waitMs()).toBe(100)
  nowMs += 100
  expect(limit.available()).toBe(1)
  nowMs += 60_000
  expect(limit.available()).toBe(10)
})

test('a rate limiter neither gains nor loses calls when the clock is set back', () => {
  let nowMs = 10_000
  const limit = new RateLimiter(1, () => nowMs)
  expect(limit.reserve()).toBe(0)
  nowMs -= 5_000
  expect(limit.available()).toBe(0)
  nowMs += 1_000
  expect(limit.available()).toBe(1)
})
