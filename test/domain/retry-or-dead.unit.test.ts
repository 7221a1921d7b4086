import { expect, test } from 'vitest'
import { retryDelayMs, settlementOf } from '../../src/domain/retry-or-dead.ts'

const policy = { maxAttempts: 12, baseMs: 1000, capMs: 60_000 }

test('the wait before a retry is uniform up to a ceiling that doubles with each attempt', () => {
  expect(retryDelayMs(policy, 1, () => 0)).toBe(0)
  expect(retryDelayMs(policy, 1, () => 0.5)).toBe(500)
  expect(retryDelayMs(policy, 4, () => 0.5)).toBe(4000)
})

test('the wait before a retry never exceeds the cap, however many attempts there were', () => {
  expect(retryDelayMs(policy, 7, () => 0.999999)).toBeLessThanOrEqual(60_000)
  expect(retryDelayMs(policy, 1_000, () => 0.5)).toBe(30_000)
})

const work = { deliveryId: 1, lease: 'lease', attempt: 3 } as Parameters<typeof settlementOf>[0]
const rules = { retry: policy, nowMs: 0, random: () => 0.5, stopping: false }
const ended = { outcome: 'retry_after', startedAtMs: 0, durationMs: 0 } as const
const DAY_MS = 86_400_000

test.each([
  ['as long as it asked for', 5, 5],
  ['a week where it asked for longer', 30 * DAY_MS, 7 * DAY_MS],
  ['as long as after any failure where its time is invalid', undefined, 2_000],
])('an attempt that asks to be run again waits %s', (_, afterMs, dueAtMs) => {
  const result = { ...ended, ...(afterMs !== undefined && { afterMs }) }
  expect(settlementOf(work, result, rules)).toMatchObject({ verdict: 'retry', outcome: 'retry_after', dueAtMs })
})
