import { expect, test } from 'vitest'
import { type PoolAttempt, releaseAttempt } from '../../src/dispatch/pool/attempts.ts'
import type { AttemptResult } from '../../src/domain/delivery.ts'
import { settlementOf } from '../../src/domain/retry-or-dead.ts'

const rules = { retry: { maxAttempts: 1, baseMs: 1, capMs: 1 }, nowMs: 5, random: Math.random, stopping: false }

test.each([
  ['many', false],
  ['few', true],
  ['alone', true],
] as const)(
  'an attempt that waited too long for a process (sharing: %s) is released without being counted, even if it is the last one',
  (sharing, isolate) => {
    let result: AttemptResult | undefined
    releaseAttempt({ sharing, resolve: (given: AttemptResult) => (result = given) } as unknown as PoolAttempt)
    const work = { deliveryId: 1, lease: 'lease', attempt: 1 } as Parameters<typeof settlementOf>[0]
    expect(settlementOf(work, result ?? expect.unreachable(), rules)).toMatchObject({
      verdict: 'released',
      outcome: 'released',
      isolate,
      dueAtMs: 5,
    })
  },
)
