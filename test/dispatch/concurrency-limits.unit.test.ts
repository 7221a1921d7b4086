import { expect, test } from 'vitest'
import { ConcurrencyLimits, shareCapacity } from '../../src/dispatch/concurrency-limits.ts'

const all = { configured: 32, all: 40, extra: 8 }
const limits = (free: Parameters<typeof shareCapacity>[0], running: Record<string, number>) =>
  Object.fromEntries(shareCapacity(free, new Map(Object.entries(running))))

test('a handler may use all configured capacity, alone or beside handlers that run nothing', () => {
  expect(limits(all, { a: 0 })).toEqual({ a: 32 })
  expect(limits(all, { a: 0, b: 0 })).toEqual({ a: 32, b: 32 })
})

test('a handler that uses all configured capacity gets no extra capacity, and every other handler gets its share of the extra capacity', () => {
  const free = { configured: 0, all: 8, extra: 8 }
  expect(limits(free, { hog: 32, b: 0, c: 0 })).toEqual({ hog: 0, b: 4, c: 4 })
  expect(limits(free, { hog: 32, b: 3, c: 0 })).toEqual({ hog: 0, b: 1, c: 4 })
})

test('however many handlers there are, one that runs nothing may start an attempt while any capacity is left', () => {
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`h${at}`, 0]))
  expect(limits({ configured: 0, all: 2, extra: 8 }, { hog: 38, ...many })).toMatchObject({
    hog: 0,
    h0: 1,
    h49: 1,
  })
  expect(limits({ configured: 0, all: 0, extra: 8 }, { hog: 32, ...many })).toMatchObject({ h0: 0 })
})

test('a handler that is the only one never uses more than the configured capacity', () => {
  expect(limits({ configured: 0, all: 8, extra: 8 }, { a: 32 })).toEqual({ a: 0 })
})

test('`mayStart` agrees with `limits`, whatever is free and runs', () => {
  const handlers = ['a', 'b', 'c'].map((name) => ({ name, types: ['*'], ...(name === 'c' && { concurrency: 2 }) }))
  for (const freeStable of [0, 1, 4, 5])
    for (const unstable of ['', 'b', 'a'])
      for (const freeUnstable of [0, 2])
        for (let state = 0; state < 27; state++) {
          const pool = {
            extra: 4,
            freeStable,
            free: () => ({ stable: freeStable, unstable: freeUnstable, isolated: 1 }),
            isUnstable: (name: string) => name === unstable,
            mayStart: () => true,
          }
          const running = new Map(
            [state % 3, Math.floor(state / 3) % 3, Math.floor(state / 9)].map((n, at) => ['abc'[at] ?? '', n]),
          )
          const subject = new ConcurrencyLimits(pool, handlers, running)
          const named = subject.limits().handlers.map(({ name }) => name)
          expect(
            ['a', 'b', 'c'].filter((name) => subject.mayStart(name)),
            JSON.stringify({ freeStable, unstable, freeUnstable, state }),
          ).toEqual(named)
        }
})
