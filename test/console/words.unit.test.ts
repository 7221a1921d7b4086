import { expect, test } from 'vitest'
import { dated, day, whole } from '../../src/http/console/html/words.ts'

const DAY_MS = 86_400_000
const NOON_MS = Date.UTC(2026, 0, 1, 12)

test('whole numbers are written as Intl writes them in English', () => {
  for (const count of [0, 1, 12, 999, 999.4, 999.5, 1_000, 10_000, 123_456, 1_234_567.8, 987_654_321, 2 ** 53 - 1])
    expect(whole(count)).toBe(count.toLocaleString('en-US', { maximumFractionDigits: 0 }))
  for (const count of [-1, -999, -1_000, -123_456]) expect(whole(count)).toBe(count.toLocaleString('en-US'))
})

test('every day of a year is written with its weekday and its month in full, as Intl writes it', () => {
  for (let ms = NOON_MS; ms < NOON_MS + 366 * DAY_MS; ms += DAY_MS) {
    const written = new Date(ms).toLocaleDateString('en-GB', {
      weekday: 'long',
      day: 'numeric',
      month: 'long',
      timeZone: 'UTC',
    })
    expect(dated(ms).toString()).toContain(`12:00:00</time> UTC, ${written.replace(',', '')}`)
  }
})

test('a day is short, and has its year only if it is not of this one', () => {
  const nowMs = Date.UTC(2026, 10, 27)
  expect(day(Date.UTC(2026, 8, 3), nowMs)).toBe('3 Sep')
  expect(day(Date.UTC(2025, 11, 31, 23, 59), nowMs)).toBe('31 Dec 2025')
})
