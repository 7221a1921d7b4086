import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { UnstableHandlers } from '../../src/dispatch/pool/unstable-handlers.ts'

function unstableWithLog() {
  const logged: { handler?: string; msg?: string }[] = []
  const unstable = new UnstableHandlers(
    pino({ level: 'info' }, { write: (line) => void logged.push(JSON.parse(line)) }),
  )
  return { unstable, logged }
}

describe('a handler that ends its process', () => {
  test('is unstable from the third time on', () => {
    const { unstable } = unstableWithLog()
    unstable.crashed('a', 0, 'exit')
    unstable.crashed('a', 1, 'exit')
    expect(unstable.isUnstable('a')).toBe(false)
    unstable.crashed('a', 2, 'exit')
    expect(unstable.isUnstable('a')).toBe(true)
    expect(unstable.isUnstable('b')).toBe(false)
  })

  test('is logged once, however often it does', () => {
    const { unstable, logged } = unstableWithLog()
    for (let times = 0; times < 100; times++) unstable.crashed('a', times, 'exit')
    expect(logged).toHaveLength(1)
    expect(logged[0]).toMatchObject({ handler: 'a', error: 'exit' })
  })

  test('pauses longer from crash to crash, a second at most, until one of its attempts survives', () => {
    const { unstable } = unstableWithLog()
    const pauses = Array.from({ length: 200 }, () => {
      unstable.crashed('a', 1_000, 'exit')
      return Math.max(0, unstable.pausedUntilMs('a') - 1_000)
    })
    expect(pauses.slice(0, 4)).toEqual([0, 0, 50, 100])
    expect(pauses).toEqual(pauses.toSorted((one, other) => one - other))
    expect(pauses.at(-1)).toBe(1_000)
    unstable.survived('a')
    expect(unstable.pausedUntilMs('a')).toBe(0)
  })

  test('is stable again after a minute without a crash', () => {
    const { unstable, logged } = unstableWithLog()
    for (let times = 0; times < 3; times++) unstable.crashed('a', 0, 'exit')
    unstable.forget(59_999)
    expect(unstable.isUnstable('a')).toBe(true)
    unstable.forget(60_000)
    expect(unstable.isUnstable('a')).toBe(false)
    expect(unstable.isEmpty).toBe(true)
    expect(logged.at(-1)?.msg).toMatch(/runs with the others again/)
  })
})

test('while many handlers end their processes, each is unstable from its first time on, and so are handlers that are not proven yet', () => {
  const { unstable } = unstableWithLog()
  unstable.survived('proven')
  for (const handler of ['a', 'b', 'c']) unstable.crashed(handler, 0, 'exit')
  expect(unstable.isUnstable('a')).toBe(false)
  unstable.crashed('d', 0, 'exit')
  expect(unstable.isUnstable('a')).toBe(true)
  expect(unstable.isUnstable('new')).toBe(true)
  expect(unstable.isUnstable('proven')).toBe(false)
  unstable.survived('new')
  expect(unstable.isUnstable('new')).toBe(false)
})

test('a handler that keeps blocking its process is unstable, and does not pause', () => {
  const { unstable } = unstableWithLog()
  for (let times = 0; times < 3; times++) unstable.blocked('a', 0)
  expect(unstable.isUnstable('a')).toBe(true)
  expect(unstable.pausedUntilMs('a')).toBe(0)
})
