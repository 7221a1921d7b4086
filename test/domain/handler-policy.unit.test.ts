import { expect, test } from 'vitest'
import { readPolicy, retryWarnings } from '../../src/domain/handler-policy.ts'

function read(options: Record<string, unknown>) {
  const faults: string[] = []
  const policy = readPolicy(options, (fault) => faults.push(fault))
  return { policy, faults }
}

test.each([
  ['nothing', {}, {}],
  ['what is undefined', { timeoutMs: undefined, retry: { capMs: undefined }, rate: undefined }, {}],
  [
    'the smallest numbers',
    { timeoutMs: 1, retry: { maxAttempts: 1, baseMs: 0, capMs: 0 }, rate: { limit: 1, perMs: 1 }, concurrency: 1 },
    { timeoutMs: 1, retry: { maxAttempts: 1, baseMs: 0, capMs: 0 }, rate: { limit: 1, perMs: 1 }, concurrency: 1 },
  ],
  [
    'the largest numbers',
    { timeoutMs: 2 ** 31 - 1, retry: { maxAttempts: 1_000 }, rate: { limit: 1_000_000, perMs: 2 ** 31 - 1 } },
    { timeoutMs: 2 ** 31 - 1, retry: { maxAttempts: 1_000 }, rate: { limit: 1_000_000, perMs: 2 ** 31 - 1 } },
  ],
  ['options of others, which it leaves alone', { name: 'x', schema: {} }, {}],
])('a policy may have %s', (_, options, policy) => {
  expect(read(options)).toEqual({ policy, faults: [] })
})

test.each([
  [{ timeoutMs: 2 ** 31 }, ['timeoutMs is 2147483648, not a whole number from 1 to 2147483647']],
  [{ timeoutMs: '5s' }, ['timeoutMs is "5s", not a whole number from 1 to 2147483647']],
  [{ retry: 3 }, ['retry is 3, not an object with maxAttempts, baseMs, capMs']],
  [{ rate: [1, 2] }, ['rate is a list, not an object with limit, perMs']],
  [{ rate: null }, ['rate is null, not an object with limit, perMs']],
  [
    { retry: { baseMs: 5, capMs: -1 } },
    ['retry.capMs is -1, not a whole number from 0 to 2147483647', 'retry.baseMs is 5, more than retry.capMs (-1)'],
  ],
  [{ retry: { capMs: -1 } }, ['retry.capMs is -1, not a whole number from 0 to 2147483647']],
  [{ rate: {} }, ['rate needs both limit and perMs']],
  [{ rate: { limit: 5, perMs: 1_000.5 } }, ['rate.perMs is 1000.5, not a whole number from 1 to 2147483647']],
  [
    { retry: { maxAttempts: 0, baseMs: 9, capMs: 8, factor: 2 }, concurrency: -1 },
    [
      'concurrency is -1, not a whole number above 0',
      'retry.maxAttempts is 0, not a whole number from 1 to 1000',
      'unknown option retry.factor',
      'retry.baseMs is 9, more than retry.capMs (8)',
    ],
  ],
])('a policy of %j is refused with every fault', (options, faults) => {
  expect(read(options).faults).toEqual(faults)
})

test('a wait of a handler’s own that contradicts one of the service is warned of, because the longest wait counts', () => {
  const service = { timeoutMs: 1, retry: { maxAttempts: 1, baseMs: 1_000, capMs: 60_000 } }
  const handlers = [
    { name: 'late', retry: { baseMs: 90_000 } },
    { name: 'early', retry: { capMs: 10 } },
    { name: 'sound', retry: { baseMs: 2_000 } },
    { name: 'plain' },
  ]
  expect(retryWarnings(handlers, service)).toEqual([
    'handler late: its retries wait 60000 ms at most (RETRY_CAP_MS), which is less than baseMs (90000 ms)',
    'handler early: its retries wait 10 ms at most (capMs), which is less than RETRY_BASE_MS (1000 ms)',
  ])
})
