import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { checksumOf } from '../../src/domain/checksum.ts'

test.each([0, 1, 1_048_576, 1_048_577, 5_000_000])('the checksum of %i bytes is their SHA-256', async (length) => {
  const body = Buffer.alloc(length, 'holdfast')
  expect(await checksumOf(body)).toBe(createHash('sha256').update(body).digest('hex'))
})

test('the checksum of a long body is computed in steps, with turns for other work between them', async () => {
  let turns = 0
  const turn = (): void => {
    turns++
    timer = setImmediate(turn)
  }
  let timer = setImmediate(turn)
  await checksumOf(Buffer.alloc(8_388_608))
  clearImmediate(timer)
  expect(turns).toBeGreaterThan(4)
})
