import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { Trouble } from '../../src/dispatch/pool/trouble.ts'

function troubleWithLog() {
  const logged: { handler?: string; msg?: string }[] = []
  const trouble = new Trouble(pino({ level: 'info' }, { write: (line) => void logged.push(JSON.parse(line)) }))
  return { trouble, logged }
}

describe('a handler that ends its process', () => {
  test('runs with the others the first times, and apart from the third time on', () => {
    const { trouble } = troubleWithLog()
    trouble.lost('a', 0, 'exit')
    trouble.lost('a', 1, 'exit')
    expect(trouble.isTroubled('a')).toBe(false)
    trouble.lost('a', 2, 'exit')
    expect(trouble.isTroubled('a')).toBe(true)
    expect(trouble.isTroubled('b')).toBe(false)
  })

  test('is told of once, however often it does', () => {
    const { trouble, logged } = troubleWithLog()
    for (let times = 0; times < 100; times++) trouble.lost('a', times, 'exit')
    expect(logged).toHaveLength(1)
    expect(logged[0]).toMatchObject({ handler: 'a', error: 'exit' })
  })

  test('waits longer from loss to loss, but never more than a second, and no more once an attempt of it survives', () => {
    const { trouble } = troubleWithLog()
    const pauses = Array.from({ length: 200 }, () => {
      trouble.lost('a', 1_000, 'exit')
      return Math.max(0, trouble.pausedUntilMs('a') - 1_000)
    })
    expect(pauses.slice(0, 4)).toEqual([0, 0, 50, 100])
    expect(pauses).toEqual(pauses.toSorted((one, other) => one - other))
    expect(pauses.at(-1)).toBe(1_000)
    trouble.survived('a')
    expect(trouble.pausedUntilMs('a')).toBe(0)
  })

  test('is as good as any other after a minute without', () => {
    const { trouble, logged } = troubleWithLog()
    for (let times = 0; times < 3; times++) trouble.lost('a', 0, 'exit')
    trouble.forget(59_999)
    expect(trouble.isTroubled('a')).toBe(true)
    trouble.forget(60_000)
    expect(trouble.isTroubled('a')).toBe(false)
    expect(trouble.isQuiet).toBe(true)
    expect(logged.at(-1)?.msg).toMatch(/runs with the others again/)
  })
})

test('where many handlers end their processes, each runs apart from its first time on, and so do those that are not proven yet', () => {
  const { trouble } = troubleWithLog()
  trouble.survived('proven')
  for (const handler of ['a', 'b', 'c']) trouble.lost(handler, 0, 'exit')
  expect(trouble.isTroubled('a')).toBe(false)
  trouble.lost('d', 0, 'exit')
  expect(trouble.isTroubled('a')).toBe(true)
  expect(trouble.isTroubled('new')).toBe(true)
  expect(trouble.isTroubled('proven')).toBe(false)
  trouble.survived('new')
  expect(trouble.isTroubled('new')).toBe(false)
})

test('a handler that keeps blocking its process runs apart, and does not have to wait', () => {
  const { trouble } = troubleWithLog()
  for (let times = 0; times < 3; times++) trouble.blocked('a', 0)
  expect(trouble.isTroubled('a')).toBe(true)
  expect(trouble.pausedUntilMs('a')).toBe(0)
})
