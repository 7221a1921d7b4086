import { expect, test } from 'vitest'
import { Histogram } from '../../src/monitoring/histogram.ts'
import { seededRandom } from '../support/random.ts'

const of = (...seconds: readonly number[]): Histogram => {
  const histogram = new Histogram()
  for (const each of seconds) histogram.observe(each)
  return histogram
}

test('a histogram gives quantiles that are at most 9 % off, from microseconds to weeks', () => {
  const random = seededRandom(7)
  for (const unit of [1e-5, 1e-3, 1, 1e3, 1e6]) {
    const times = Array.from({ length: 500 }, () => unit * (1 + 5 * random()))
    const sorted = times.toSorted((a, b) => a - b)
    const histogram = of(...times)
    for (const share of [0.01, 0.5, 0.9, 0.99, 1]) {
      const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0
      const ratio = (histogram.quantileSeconds(share) ?? 0) / exact
      expect(ratio).toBeGreaterThan(1 / 1.0906)
      expect(ratio).toBeLessThan(1.0906)
    }
  }
})

test('a histogram of nothing has no mean and no quantiles', () => {
  expect([of().count, of().meanSeconds(), of().quantileSeconds(0.5)]).toEqual([0, undefined, undefined])
})

test('a histogram takes times of zero, below zero and beyond all bounds', () => {
  const histogram = of(0, -5, 1e12)
  expect(histogram.count).toBe(3)
  expect(histogram.quantileSeconds(0.5)).toBeLessThan(1e-5)
  expect(histogram.quantileSeconds(1)).toBeGreaterThan(86_400 * 80)
})

test('histograms that are merged give what one of all times would, also after they were written and read', () => {
  const random = seededRandom(3)
  const times = Array.from({ length: 300 }, () => random() * 10)
  const merged = of(...times.slice(0, 100))
  merged.add(of(...times.slice(100, 150)))
  merged.addWritten(JSON.parse(JSON.stringify(of(...times.slice(150)))))
  const whole = of(...times)
  expect(merged.count).toBe(300)
  expect(merged.meanSeconds()).toBeCloseTo(whole.meanSeconds() ?? 0, 5)
  for (const share of [0.1, 0.5, 0.99]) expect(merged.quantileSeconds(share)).toBe(whole.quantileSeconds(share))
})
