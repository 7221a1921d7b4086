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
    'by %i ms is detected by five requests that agree',
    (offMs) => {
      const { request, watch } = world(offMs)
      expect(times(7, request)).toEqual([false, false, false, false, true, true, true])
      expect(watch.offSeconds()).toBe(offMs / SECOND)
    },
  )

  test('is not detected by one request that is repeated, nor by requests that disagree', () => {
    const { request, stale, now, watch } = world(10 * MINUTE)
    expect(times(50, () => request('the same'))).not.toContain(true)
    for (let at = 1; at < 50; at++) expect(stale(`old ${at}`, now() - at * 10 * MINUTE)).toBe(false)
    expect(watch.offSeconds()).toBe(0)
  })

  test('is not detected by requests that are more than ten minutes apart', () => {
    const { request, pass } = world(10 * MINUTE)
    expect(
      times(20, () => {
        pass(3 * MINUTE)
        return request()
      }),
    ).not.toContain(true)
  })

  test('is detected by two requests if a provider’s answer agrees', () => {
    const { request, answered } = world(10 * MINUTE)
    answered()
    expect(times(2, request)).toEqual([false, true])
  })

  test('answers 503 only to requests that agree, and a replay is still stale', () => {
    const { request, stale, now } = world(10 * MINUTE)
    times(5, request)
    expect(stale('old', now() - HOUR)).toBe(false)
    expect(request()).toBe(true)
  })
})

describe('a clock that was right', () => {
  test('is not doubted because of replays, of any number and age', () => {
    const { stale, proven, pass, now, watch } = world()
    proven()
    for (let minute = 0; minute < 20 * 60; minute += 7) {
      pass(7 * MINUTE)
      // A recording of an hour ago, played at the pace at which it was made.
      for (let at = 0; at < 10; at++) expect(stale(`${minute} ${at}`, now() - HOUR)).toBe(false)
    }
    expect(watch.offSeconds()).toBe(0)
  })

  test('is not doubted because of replays if a provider’s answer has shown it right', () => {
    const { stale, answered, now } = world()
    answered()
    expect(times(50, () => stale(`${Math.random()}`, now() - HOUR))).not.toContain(true)
  })

  test('is detected as off by the first request after it was set wrongly, and right once it is set back', () => {
    const { request, proven, pass, set, watch } = world()
    proven()
    pass(HOUR)
    set(10 * MINUTE)
    expect(request()).toBe(true)
    expect(watch.offSeconds()).toBe(600)
    set(0)
    expect(watch.offSeconds()).toBe(0)
  })

  test('and was set back still counts as off after a request that is late by the same time', () => {
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

  test('and is ahead after the process was suspended for an hour counts as right after five requests that agree', () => {
    const { stale, now, proven, set, watch } = world()
    proven()
    // To this process an hour has not passed, and its clock was set.
    set(HOUR)
    expect(stale('late', now())).toBe(true)
    for (let at = 0; at < 5; at++) watch.proven(0)
    expect(watch.offSeconds()).toBe(0)
    expect(times(50, () => stale(`${Math.random()}`, now()))).not.toContain(true)
  })

  test('is not doubted because of requests that are late only for a source with a window of seconds', () => {
    const { stale, proven, now } = world()
    proven()
    expect(times(50, () => stale(`${Math.random()}`, now() - 45 * SECOND))).not.toContain(true)
    expect(times(50, () => stale(`${Math.random()}`, now() - 90 * SECOND))).not.toContain(true)
  })
})

describe('a clock that counts as off', () => {
  test('counts as right with the first request that is proven', () => {
    const { request, watch } = world(10 * MINUTE)
    times(5, request)
    watch.proven(-2 * MINUTE)
    expect(watch.offSeconds()).toBe(0)
  })

  test.each([10 * MINUTE, -10 * MINUTE])(
    'by %i ms does not count as right because of requests that only a wide window accepts',
    (offMs) => {
      const { request, proven, watch } = world(offMs)
      times(5, request)
      proven()
      expect(watch.offSeconds()).toBe(offMs / SECOND)
      expect(times(5, request)).not.toContain(false)
    },
  )

  test('because of replays counts as right with the first genuine request, and stays so', () => {
    const { stale, now, proven, watch } = world()
    const replay = (): boolean => stale(`${Math.random()}`, now() - HOUR)
    expect(times(5, replay).at(-1)).toBe(true)
    proven()
    expect(times(50, replay)).not.toContain(true)
    expect(watch.offSeconds()).toBe(0)
  })

  test('counts as right ten minutes after the last request that agrees, and as off again with the next', () => {
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
