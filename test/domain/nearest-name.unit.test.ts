import { expect, test } from 'vitest'
import { nearestName } from '../../src/domain/nearest-name.ts'

test.each([
  ['timeout', ['rate', 'timeoutMs'], 'timeoutMs'],
  ['TimeOutMS', ['timeoutMs'], 'timeoutMs'],
  ['maxAtempts', ['maxAttempts', 'baseMs'], 'maxAttempts'],
  ['colour', ['name', 'concurrency', 'schema'], undefined],
  ['x', ['id', 'to'], undefined],
  ['', ['to'], undefined],
])('the name nearest to %j among %j is %j', (name, known, nearest) => {
  expect(nearestName(name, known)).toBe(nearest)
})
