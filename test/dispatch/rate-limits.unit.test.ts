import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RateLimits, type RememberedStart, type StartsByHandler } from '../../src/dispatch/rate-limits.ts'
import type { RateLimit } from '../../src/domain/handler-policy.ts'
import { type RateShare, WHOLE_RATE } from '../../src/domain/rate-share.ts'
import { propertyParameters } from '../support/property.ts'

/** One handler, `a`, with a rate, and a clock that the test sets. */
function limited(rate: RateLimit, rateShareOf: () => RateShare = () => WHOLE_RATE) {
  const time = { nowMs: 5_000 }
  const starts: StartsByHandler = new Map()
  const rates = RateLimits.of([{ name: 'a', types: ['*'], rate }], {
    starts,
    rateShareOf,
    monotonicMs: () => time.nowMs,
  })
  if (rates === undefined) throw new Error('the handler has a rate')
  const start = (count = 1) => Array.from({ length: count }, () => rates.started('a')).at(-1) as RememberedStart
  return { rates, time, starts, start }
}

const always = (): boolean => true

test('handlers without a rate have no limits to look after, and beside one with a rate they are free', () => {
  expect(RateLimits.of([{ name: 'b', types: ['*'], concurrency: 3 }])).toBeUndefined()
  const { rates } = limited({ limit: 1, perMs: 100 })
  expect(rates.free('b')).toBe(Number.POSITIVE_INFINITY)
  expect(rates.isThrottled('b')).toBe(false)
  expect(rates.reserve('b')).toBe(true)
  expect(rates.started('b')).toBeUndefined()
})

test('all attempts that the limit allows may start at once, and the next when the period of the first has passed', () => {
  const { rates, time, start } = limited({ limit: 3, perMs: 100 })
  start(2)
  time.nowMs += 30
  start()
  expect([rates.free('a'), rates.isThrottled('a'), rates.nextInMs(always)]).toEqual([0, true, 70])
  time.nowMs += 69
  expect(rates.free('a')).toBe(0)
  time.nowMs += 1
  expect(rates.free('a')).toBe(2)
  expect(rates.nextInMs(always)).toBe(Number.POSITIVE_INFINITY)
  start(2)
  expect(rates.nextInMs(always)).toBe(30)
  expect(rates.nextInMs(() => false)).toBe(Number.POSITIVE_INFINITY)
})

test('what an append or a claim has reserved is not free, and is free again if no attempt starts', () => {
  const { rates } = limited({ limit: 3, perMs: 100 })
  expect(rates.reserve('a')).toBe(true)
  rates.ask([
    { name: 'a', limit: 2 },
    { name: 'b', limit: 9 },
  ])
  expect(rates.reserve('a')).toBe(false)
  // No time ends a reservation.
  expect(rates.nextInMs(always)).toBe(Number.POSITIVE_INFINITY)
  rates.answered()
  expect(rates.free('a')).toBe(2)
  rates.release('a')
  expect(rates.free('a')).toBe(3)
})

test('an attempt counts from the time at which its process began it', () => {
  const { rates, time, start } = limited({ limit: 1, perMs: 100 })
  const sent = start()
  time.nowMs += 60
  rates.ended(sent, 20)
  expect(rates.nextInMs(always)).toBe(80)
  rates.ended(sent, 1_000)
  expect(rates.nextInMs(always)).toBe(80)
})

test('the starts of the handlers from before a reload count', () => {
  const { time, starts, start } = limited({ limit: 2, perMs: 100 })
  start(2)
  const after = RateLimits.of([{ name: 'a', types: ['*'], rate: { limit: 3, perMs: 100 } }], {
    starts,
    monotonicMs: () => time.nowMs,
  })
  expect(after?.free('a')).toBe(1)
})

test('a process takes only its share of the limit, which may change at any time and may be nothing', () => {
  const share = { place: 0, count: 1 }
  const { rates, time, start } = limited({ limit: 5, perMs: 100 }, () => share)
  start(2)
  expect(rates.free('a')).toBe(3)
  Object.assign(share, { place: 1, count: 2 })
  expect(rates.free('a')).toBe(0)
  Object.assign(share, { place: 8, count: 9 })
  time.nowMs += 1_000
  expect([rates.free('a'), rates.nextInMs(always)]).toEqual([0, Number.POSITIVE_INFINITY])
})

test('a limit of a million is kept with a few hundred remembered starts, and all of them are free again soon after the period', () => {
  const limit = 1_000_000
  const { rates, time, starts, start } = limited({ limit, perMs: 60_000 })
  let most = 0
  for (let started = 0; started < limit; started += 1_000) {
    start(1_000)
    most = Math.max(most, starts.get('a')?.size ?? 0)
    time.nowMs += 60
  }
  expect(rates.free('a')).toBeGreaterThanOrEqual(0)
  expect(most).toBeLessThanOrEqual(258)
  time.nowMs += 60_000 + 60_000 / 256
  expect(rates.free('a')).toBe(limit)
})

test('starts of a high limit that are remembered as one are free again when the last of them is, 1/256 of the period later at most', () => {
  const { rates, time, start } = limited({ limit: 512, perMs: 256_000 })
  for (let n = 0; n < 512; n++) {
    start()
    time.nowMs += 500
  }
  expect([rates.free('a'), rates.nextInMs(always)]).toEqual([0, 500])
  time.nowMs += 500
  expect(rates.free('a')).toBe(2)
})

type Step =
  | { readonly kind: 'wait'; readonly ms: number }
  /** Starts as many as may start, up to this number, which begin in their processes so much later; undefined: and run for ever. */
  | { readonly kind: 'start'; readonly most: number; readonly lateMs: number | undefined }
  | { readonly kind: 'reserve'; readonly starts: boolean }
  | { readonly kind: 'claim'; readonly most: number; readonly found: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0, 0.25, 1, 7, 40, 99, 100, 130) }),
  fc.record({
    kind: fc.constant('start' as const),
    most: fc.nat({ max: 700 }),
    lateMs: fc.constantFrom(undefined, 0, 3),
  }),
  fc.record({ kind: fc.constant('reserve' as const), starts: fc.boolean() }),
  fc.record({ kind: fc.constant('claim' as const), most: fc.nat({ max: 700 }), found: fc.nat({ max: 700 }) }),
)

test('whatever is reserved, claimed and started when, no period ever has more starts than the limit', () => {
  const rate = fc.record({ limit: fc.constantFrom(1, 2, 5, 256, 257, 600), perMs: fc.constantFrom(1, 100, 256) })
  fc.assert(
    fc.property(rate, fc.array(step, { maxLength: 60 }), ({ limit, perMs }, steps) => {
      const { rates, time } = limited({ limit, perMs })
      const times: number[] = []
      const start = (count: number, lateMs: number | undefined): void => {
        const begun = Array.from({ length: count }, () => rates.started('a') as RememberedStart)
        time.nowMs += lateMs ?? 0
        for (const each of begun) {
          times.push(time.nowMs)
          if (lateMs !== undefined) rates.ended(each, 0)
        }
      }
      for (const each of steps) {
        if (each.kind === 'wait') time.nowMs += each.ms
        else if (each.kind === 'start') start(Math.min(each.most, rates.free('a')), each.lateMs)
        else if (each.kind === 'reserve') {
          if (!rates.reserve('a')) continue
          rates.release('a')
          if (each.starts) start(1, undefined)
        } else {
          const most = Math.min(each.most, rates.free('a'))
          rates.ask([{ name: 'a', limit: most }])
          expect(rates.free('a') + most).toBeLessThanOrEqual(limit)
          start(Math.min(most, each.found), undefined)
          rates.answered()
        }
      }
      for (const [at, ms] of times.entries()) {
        const first = times[at - limit]
        if (first !== undefined) expect(ms - first).toBeGreaterThanOrEqual(perMs)
      }
    }),
    propertyParameters({ runs: 300 }),
  )
})

test('waiting for as long as it is told, a handler gets at least 255/256 of its rate', () => {
  const rate = fc.record({ limit: fc.constantFrom(1, 3, 256, 300, 5_000), perMs: fc.constantFrom(10, 1_000) })
  fc.assert(
    fc.property(rate, fc.integer({ min: 1, max: 700 }), ({ limit, perMs }, atOnce) => {
      const { rates, time, start } = limited({ limit, perMs })
      const [fromMs, periods] = [time.nowMs, 4]
      let started = 0
      for (let turns = 0; turns < 20_000 && started < limit * periods; turns++) {
        const count = Math.min(atOnce, rates.free('a'), limit * periods - started)
        if (count > 0) start(count)
        started += count
        if (rates.isThrottled('a')) time.nowMs += rates.nextInMs(always)
      }
      expect(started).toBe(limit * periods)
      // The first period's starts come at once.
      expect(time.nowMs - fromMs).toBeLessThanOrEqual(periods * perMs * (1 + 1 / 255) + 0.001)
    }),
    propertyParameters({ runs: 60 }),
  )
})
