import { expect, test } from 'vitest'
import { trend } from '../../src/http/console/pages/trend.ts'

const NOW_MS = Date.parse('2026-11-26T03:00:00Z')
const HOUR_MS = 3_600_000
/** Deaths in the last of 24 hours, the present one last. */
const hours = (...last: readonly number[]): readonly number[] => [...Array<number>(24 - last.length).fill(0), ...last]

test.each([
  ['all of them new', hours(5), 0, '5 in 24 hours, all in the last 3 hours'],
  ['more than before', hours(1, 1, 1, 4, 4, 4), 0, '15 in 24 hours, rising'],
  ['fewer than before', hours(4, 4, 4, 1, 1, 1), 0, '15 in 24 hours, falling'],
  ['as many as before', hours(4, 4, 4, 4, 4, 3), 0, '23 in 24 hours, steady'],
  ['none for hours', hours(4, 0, 0, 0), 3 * HOUR_MS, '4 in 24 hours, not seen for 3 h'],
  ['none for days', hours(0), 50 * HOUR_MS, 'not seen for 2 d 2 h'],
])('the trend of deaths is told in words: %s', (_, hourly, agoMs, words) => {
  expect(trend(hourly, NOW_MS - agoMs, NOW_MS)).toBe(words)
})
