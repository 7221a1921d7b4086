import pino from 'pino'
import { describe, expect, test } from 'vitest'
import { ClockWatch } from '../../src/pipeline/clock-watch.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const TRUE_START = Date.parse('2026-11-26T12:00:00Z')

/** A service whose clock is off by so much, and the true time beside it. */
function world(offMs = 0) {
  let passedMs = 0
  let off = offMs
  let bodies = 0
  const watch = new ClockWatch({
    clock: () => TRUE_START + passedMs + off,
    now: () => passedMs,
    log: pino({ level: 'silent' }),
  })
  const stale = (body: string, sentMs: number): boolean =>
    watch.stale('ai', Buffer.from(body), sentMs - (TRUE_START + passedMs + off))
  return {
    watch,
    pass: (ms: number) => {
      passedMs += ms
    },
    set: (ms: number) => {
      off = ms
    },
    now: () => TRUE_START + passedMs,
    stale,
    /** A request as its sender makes it now, which is stale for this clock; of a body of its own unless given. */
    request: (body = `body ${++bodies}`): boolean => stale(body, TRUE_START + passedMs),
    /** One that is not. */
    proven: () => watch.proven(-off),
    answered: (aheadMs = 0) => watch.answered({ date: new Date(TRUE_START + passedMs + aheadMs).toUTCString() }),
  }
}

const times = (count: number, act: () => boolean): boolean[] => Array.from({ length: count }, act)

describe('a clock that is off from the start', () => {
  test.each([10 * MINUTE, -10 * MINUTE, -56 * 365 * 24 * HOUR])(
    'by %i ms is known by five requests that agree',
    (offMs) => {
      const { request, watch } = world(offMs)
      expect(times(7, request)).toEqual([false, false, false, false, true, true, true])
      expect(watch.offSeconds()).toBe(offMs / SECOND)
    },
  )

  test('is not known by one request that is sent again and again, nor by those that say different things', () => {
    const { request, stale, now, watch } = world(10 * MINUTE)
    expect(times(50, () => request('the same'))).not.toContain(true)
    for (let at = 1; at < 50; at++) expect(stale(`old ${at}`, now() - at * 10 * MINUTE)).toBe(false)
    expect(watch.offSeconds()).toBe(0)
  })

  test('is not known by requests that are farther apart than ten minutes', () => {
    const { request, pass } = world(10 * MINUTE)
    expect(
      times(20, () => {
        pass(3 * MINUTE)
        return request()
      }),
    ).not.toContain(true)
  })

  test('is known by two requests where a provider’s answer says the same', () => {
    const { request, answered } = world(10 * MINUTE)
    answered()
    expect(times(2, request)).toEqual([false, true])
  })

  test('turns away only what agrees: a replay is as stale as ever', () => {
    const { request, stale, now } = world(10 * MINUTE)
    times(5, request)
    expect(stale('old', now() - HOUR)).toBe(false)
    expect(request()).toBe(true)
  })
})

describe('a clock that was right', () => {
  test('is never doubted for replays, however many, of whatever age', () => {
    const { stale, proven, pass, now, watch } = world()
    proven()
    for (let minute = 0; minute < 20 * 60; minute += 7) {
      pass(7 * MINUTE)
      // A recording of an hour ago, played at the pace at which it was made.
      for (let at = 0; at < 10; at++) expect(stale(`${minute} ${at}`, now() - HOUR)).toBe(false)
    }
    expect(watch.offSeconds()).toBe(0)
  })

  test('is never doubted where a provider’s answer has shown it', () => {
    const { stale, answered, now } = world()
    answered()
    expect(times(50, () => stale(`${Math.random()}`, now() - HOUR))).not.toContain(true)
  })

  test('is known to be off by the first request after it was set wrongly, and right once it is set back', () => {
    const { request, proven, pass, set, watch } = world()
    proven()
    pass(HOUR)
    set(10 * MINUTE)
    expect(request()).toBe(true)
    expect(watch.offSeconds()).toBe(600)
    set(0)
    expect(watch.offSeconds()).toBe(0)
  })

  test('and was set back stays known to be off beside a sender that is late by as much', () => {
    const { request, proven, pass, set, watch } = world()
    proven()
    pass(HOUR)
    set(-HOUR)
    for (let at = 0; at < 50; at++) {
      expect(request()).toBe(true)
      watch.proven(0)
      watch.answered({ date: new Date(TRUE_START).toUTCString() })
    }
    expect(watch.offSeconds()).toBe(-3_600)
  })

  test('and is ahead of a process that did not run for an hour is right again with five requests that say so', () => {
    const { stale, now, proven, set, watch } = world()
    proven()
    // To this process an hour has not passed, and its clock was set.
    set(HOUR)
    expect(stale('late', now())).toBe(true)
    for (let at = 0; at < 5; at++) watch.proven(0)
    expect(watch.offSeconds()).toBe(0)
    expect(times(50, () => stale(`${Math.random()}`, now()))).not.toContain(true)
  })

  test('is not doubted for what is late for a source that allows seconds only', () => {
    const { stale, proven, now } = world()
    proven()
    expect(times(50, () => stale(`${Math.random()}`, now() - 45 * SECOND))).not.toContain(true)
    expect(times(50, () => stale(`${Math.random()}`, now() - 90 * SECOND))).not.toContain(true)
  })
})

describe('a clock that is held for off', () => {
  test('is right again with the first request that is proven', () => {
    const { request, watch } = world(10 * MINUTE)
    times(5, request)
    watch.proven(-2 * MINUTE)
    expect(watch.offSeconds()).toBe(0)
  })

  test.each([10 * MINUTE, -10 * MINUTE])(
    'by %i ms is not held for right by requests that only a wide window takes',
    (offMs) => {
      const { request, proven, watch } = world(offMs)
      times(5, request)
      proven()
      expect(watch.offSeconds()).toBe(offMs / SECOND)
      expect(times(5, request)).not.toContain(false)
    },
  )

  test('that came of replays is right with the first true request, and stays so', () => {
    const { stale, now, proven, watch } = world()
    const replay = (): boolean => stale(`${Math.random()}`, now() - HOUR)
    expect(times(5, replay).at(-1)).toBe(true)
    proven()
    expect(times(50, replay)).not.toContain(true)
    expect(watch.offSeconds()).toBe(0)
  })

  test('is given up ten minutes after the last request that says so, and known by the next', () => {
    const { request, pass, watch } = world(10 * MINUTE)
    times(5, request)
    pass(9 * MINUTE)
    expect(request()).toBe(true)
    pass(9 * MINUTE)
    expect(watch.offSeconds()).toBe(600)
    pass(2 * MINUTE)
    expect(watch.offSeconds()).toBe(0)
    expect(request()).toBe(true)
  })
})
