import { expect, test } from 'vitest'
import { settlementOf } from '../../src/dispatch/settlement.ts'

const work = { deliveryId: 1, lease: 'lease', attempt: 3 } as Parameters<typeof settlementOf>[0]
const retry = { maxAttempts: 12, baseMs: 1_000, capMs: 60_000 }
const rules = { retry, nowMs: 0, random: () => 0.5, stopping: false }
const ended = { outcome: 'retry_after', startedAtMs: 0, durationMs: 0 } as const
const DAY_MS = 86_400_000

test.each([
  ['so long as it asked for', 5, 5],
  ['a week where it asked for longer', 30 * DAY_MS, 7 * DAY_MS],
  ['as after any failure where what it asked for was no time', undefined, 2_000],
])('an attempt that asks to be run again waits %s', (_, afterMs, dueAtMs) => {
  const ran = { ...ended, ...(afterMs !== undefined && { afterMs }) }
  expect(settlementOf(work, ran, rules)).toMatchObject({ verdict: 'retry', outcome: 'retry_after', dueAtMs })
})
