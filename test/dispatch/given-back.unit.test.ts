import { expect, test } from 'vitest'
import { giveBack } from '../../src/dispatch/pool/loss.ts'
import type { Ran, Run } from '../../src/dispatch/pool/run.ts'
import { settlementOf } from '../../src/dispatch/settlement.ts'

const rules = { retry: { maxAttempts: 1, baseMs: 1, capMs: 1 }, nowMs: 5, random: Math.random, stopping: false }

test.each([
  ['many', false],
  ['few', true],
  ['none', true],
] as const)(
  'what waited too long for room beside %s goes back uncounted, even on its last attempt',
  (company, isolate) => {
    let ran: Ran | undefined
    giveBack({ company, resolve: (given: Ran) => (ran = given) } as unknown as Run)
    const work = { deliveryId: 1, lease: 'lease', attempt: 1 } as Parameters<typeof settlementOf>[0]
    expect(settlementOf(work, ran ?? expect.unreachable(), rules)).toMatchObject({
      verdict: 'released',
      outcome: 'released',
      isolate,
      dueAtMs: 5,
    })
  },
)
