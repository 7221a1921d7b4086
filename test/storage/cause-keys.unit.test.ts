import { expect, test } from 'vitest'
import type { AttemptCause } from '../../src/domain/cause.ts'
import { CauseKeys } from '../../src/storage/shared/cause-keys.ts'

const cause = (id: string): AttemptCause => ({ id, signature: id, handler: 'a', source: 'stripe' })

test('a cause is recorded once, however many deliveries have it, and again after an hour', async () => {
  const recorded: string[][] = []
  let nowMs = 0
  const causes = new CauseKeys(
    async (given) => {
      recorded.push(given.map(({ id }) => id))
      return given.map(({ id }) => Number(id))
    },
    () => nowMs,
  )
  expect(await causes.keysOf(['1', '2', '1', '1'].map(cause))).toEqual([1, 2, 1, 1])
  expect(await causes.keysOf(['3', '1', '3'].map(cause))).toEqual([3, 1, 3])
  expect(recorded).toEqual([['1', '2'], ['3']])
  nowMs = 3_600_001
  expect(await causes.keysOf(['1'].map(cause))).toEqual([1])
  expect(recorded.at(-1)).toEqual(['1'])
})
