import { expect, test } from 'vitest'
import { OTHER_CAUSES } from '../../src/domain/cause.ts'
import type { Attempt } from '../../src/domain/delivery.ts'
import { probePanel } from '../../src/http/console/pages/probe.ts'
import type { Visit } from '../../src/http/console/routes.ts'

const NOW_MS = Date.parse('2026-11-26T03:12:41Z')
const CAUSE = '123456789abc'

const told = (given: Partial<Attempt>, id = CAUSE): string => {
  const attempt: Attempt = { number: 1, outcome: 'failed', startedAtMs: NOW_MS, durationMs: 5, ...given }
  const group = { handler: 'billing', source: 'shop', id }
  const probed = { group, uid: '0199c0de-0000-7000-8000-000000000000', state: 'failed', attempt } as const
  return probePanel(probed, '3', { nowMs: NOW_MS, mayChange: true } as Visit)
    .toString()
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
}

test.each([
  ['of the same cause', { cause: CAUSE }, CAUSE, 'The cause is still there.'],
  ['of another cause', { cause: 'fedcba987654' }, CAUSE, 'This time it counts as another cause.'],
  ['of a cause that is not known', {}, CAUSE, ''],
  ['of one of many other causes', { cause: 'fedcba987654' }, OTHER_CAUSES.id, ''],
  ['for now', { outcome: 'retry_after', cause: CAUSE }, CAUSE, 'Its handler asked for a later attempt.'],
] as const)('a probe that failed %s says no more about the cause than it showed', (_how, given, id, words) => {
  const [, after = ''] = /after \d+ ms\. (.*?)\s*$/.exec(told(given, id)) ?? expect.fail(told(given, id))
  expect(after).toBe(words)
})
