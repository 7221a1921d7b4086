import { describe, expect, test } from 'vitest'
import { LONG_MS, MODULES, start } from './start-readers.ts'

describe('a user’s code that reads events', () => {
  test('that grows one map without end quarantines only its own event', async () => {
    const { read } = start(MODULES, LONG_MS)
    const reading = await read({ do: 'grow' })
    expect(reading).toMatchObject({ ok: false })
    expect('reasons' in reading && reading.reasons[0]).toMatch(/ended the thread that reads it|took longer/)
    expect(await read({ id: 'next' })).toMatchObject({ fields: { id: 'next' } })
  })

  test('that fills its memory between two events ends only its own thread', async () => {
    const { read, lines } = start(MODULES, LONG_MS)
    expect(await read({ do: 'leak' })).toMatchObject({ ok: true })
    await expect
      .poll(() => lines.map(({ msg }) => msg), { timeout: 50_000 })
      .toContain('the thread that reads for a provider module has ended')
    expect(await read({ id: 'next' })).toMatchObject({ fields: { id: 'next' } })
  })
})
