import { expect, test } from 'vitest'
import { AttemptPolicies, longestWaits } from '../../src/dispatch/attempt-policies.ts'

const service = { timeoutMs: 30_000, retry: { maxAttempts: 12, baseMs: 1_000, capMs: 3_600_000 } }
/** A lease covers three runs of an attempt and a minute. */
const SERVICE_LEASE_MS = 150_000

const plain = { name: 'plain', types: ['*'] }
const slow = { name: 'slow', types: ['*'], timeoutMs: 3_600_000 }
const brief = { name: 'brief', types: ['*'], timeoutMs: 100, retry: { maxAttempts: 3, capMs: 5_000 } }
const patient = { name: 'patient', types: ['*'], retry: { capMs: 86_400_000 } }

test('handlers without a policy have the settings of the service, and claims and offers name nothing else', () => {
  const policies = new AttemptPolicies([plain, { name: 'few', types: ['*'], concurrency: 2 }], service)
  expect(policies.of('plain')).toBe(service)
  expect(policies.ofClaims.ownLimits).toBeUndefined()
  expect(policies.leaseOf(['plain', 'few'])).toBe(SERVICE_LEASE_MS)
})

test('a policy of which a part is given has the settings of the service for the rest', () => {
  const policies = new AttemptPolicies([plain, slow, brief, patient], service)
  expect(policies.of('slow')).toEqual({ timeoutMs: 3_600_000, retry: service.retry })
  expect(policies.of('brief')).toEqual({ timeoutMs: 100, retry: { maxAttempts: 3, baseMs: 1_000, capMs: 5_000 } })
  expect(policies.of('plain')).toBe(service)
})

test('claims name the leases and numbers of attempts that are not those of the service, and an offer the lease of each', () => {
  const policies = new AttemptPolicies([plain, slow, brief, patient], service)
  expect(policies.ofClaims.ownLimits).toEqual([
    { handler: 'slow', leaseMs: 3 * 3_600_000 + 60_000 },
    { handler: 'brief', leaseMs: 60_300, maxAttempts: 3 },
  ])
  expect(policies.leaseOf(['plain', 'slow'])).toEqual([SERVICE_LEASE_MS, 3 * 3_600_000 + 60_000])
  expect(policies.leaseOf(['plain'])).toBe(SERVICE_LEASE_MS)
  expect(new AttemptPolicies([patient], service).ofClaims.ownLimits).toBeUndefined()
})

test('the longest waits are those of any handler, and at least those of the service', () => {
  expect(longestWaits([brief], service)).toEqual({ leaseMs: SERVICE_LEASE_MS, retryMs: 3_600_000 })
  expect(longestWaits([slow, patient], service)).toEqual({ leaseMs: 3 * 3_600_000 + 60_000, retryMs: 86_400_000 })
})

test('claims say that there are ordered handlers, if any has `orderBy`', () => {
  const plain = { name: 'plain', types: ['*'] }
  expect(new AttemptPolicies([plain], service).ofClaims).not.toHaveProperty('ordered')
  const ordered = { name: 'ordered', types: ['*'], orderBy: 'data.id' }
  expect(new AttemptPolicies([plain, ordered], service).ofClaims).toMatchObject({ ordered: true })
})
