import { describe, expect, test } from 'vitest'
import { Pacing, Rate } from '../../src/replays/pacing.ts'

const CAPACITY = { total: 32, of: (handler: string) => (handler === 'single' ? 1 : undefined) }

/** How many events may be replayed for these handlers before one does not fit. */
function room(pacing: Pacing, handlers: readonly string[]): number {
  let count = 0
  for (; count < 10_000 && pacing.fits(handlers); count++) pacing.added(handlers)
  return count
}

/** A handler that ends `perLook` deliveries of those that are outstanding between two looks, 20 ms apart. */
function run(pacing: Pacing, handler: string, perLook: number, looks = 200): number {
  let outstanding = 0
  for (let look = 0; look < looks; look++) {
    outstanding = Math.max(0, outstanding - perLook)
    pacing.look(new Map([[handler, outstanding]]), look * 20)
    outstanding += room(pacing, [handler])
  }
  return outstanding
}

describe('the deliveries of a replay that are outstanding', () => {
  test('are half of what may run at once at first, over all handlers', () => {
    expect(room(new Pacing(CAPACITY), ['a'])).toBe(16)
    expect(room(new Pacing(CAPACITY), ['a', 'b'])).toBe(8)
  })

  test('are one at a time for a handler that runs one at a time', () => {
    expect(room(new Pacing(CAPACITY), ['single'])).toBe(1)
  })

  test('of a slow handler stay half of what may run at once', () => {
    expect(run(new Pacing(CAPACITY), 'slow', 1)).toBe(16)
  })

  test('of a quick handler become as many as it ends in a quarter of a second, up to a bound', () => {
    const quick = run(new Pacing(CAPACITY), 'quick', 12)
    expect(quick).toBeGreaterThan(100)
    expect(quick).toBeLessThanOrEqual(151)
    expect(run(new Pacing(CAPACITY), 'quicker', 10_000)).toBe(256)
  })

  test('become few again when a handler that was quick is slow', () => {
    const pacing = new Pacing(CAPACITY)
    const outstanding = run(pacing, 'a', 12)
    for (let look = 0; look < 200; look++) pacing.look(new Map([['a', outstanding]]), 10_000 + look * 20)
    pacing.look(new Map(), 20_000)
    pacing.look(new Map(), 60_000)
    expect(room(pacing, ['a'])).toBe(16)
  })

  test('let an event with more handlers than fit go alone', () => {
    const many = Array.from({ length: 100 }, (_, at) => `h${at}`)
    expect(room(new Pacing(CAPACITY), many)).toBe(1)
  })

  test('count what a batch did, not what was planned', () => {
    const pacing = new Pacing(CAPACITY)
    const planned = Array.from({ length: room(pacing, ['a']) }, () => ({ handlers: ['a'] }))
    pacing.ran(planned, [{ handlers: ['a'] }])
    expect(room(pacing, ['a'])).toBe(15)
  })
})

describe('a rate', () => {
  test('lets as many events through in a second as it says', () => {
    const rate = new Rate(20)
    let through = 0
    for (let nowMs = 0; nowMs < 5_000; nowMs += 10) {
      const free = rate.free(nowMs)
      rate.take(free)
      through += free
    }
    expect(through).toBeGreaterThanOrEqual(99)
    expect(through).toBeLessThanOrEqual(102)
  })

  test('saves up no more than a tenth of a second', () => {
    const rate = new Rate(100)
    rate.free(0)
    expect(rate.free(3_600_000)).toBe(10)
  })

  test('that is not given lets all through', () => {
    expect(new Rate(undefined).free(0)).toBe(Number.POSITIVE_INFINITY)
  })
})
