import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readCreatedAt } from '../../src/pipeline/created-at.ts'
import { propertyParameters } from '../support/property.ts'

describe('the time of an event', () => {
  test.each([
    ['RFC 3339', '2026-11-01T10:00:00Z', '2026-11-01T10:00:00Z'],
    ['RFC 3339 with an offset', '2026-01-01T01:02:03+02:00', '2026-01-01T01:02:03+02:00'],
    ['nanoseconds', '2022-07-13T20:30:59.037339943Z', '2022-07-13T20:30:59.037339943Z'],
    ['a single digit of a fraction', '2026-11-01T10:00:00.5-03:30', '2026-11-01T10:00:00.5-03:30'],
    ['more digits than nine, which are cut', '2026-11-01T10:00:00.1234567891Z', '2026-11-01T10:00:00.123456789Z'],
    ['an offset without a colon', '2026-11-01T10:00:00+0000', '2026-11-01T10:00:00+00:00'],
    ['an offset of hours alone', '2026-11-01 10:00:00.25+01', '2026-11-01T10:00:00.25+01:00'],
    ['a space and UTC', '2026-11-01 10:00:00 UTC', '2026-11-01T10:00:00Z'],
    ['a space and an offset', '2026-11-01 10:00:00 -0500', '2026-11-01T10:00:00-05:00'],
    ['the text that Go prints', '2026-11-01 10:00:00.123456 +0000 UTC', '2026-11-01T10:00:00.123456+00:00'],
    ['lower case', '2026-11-01t10:00:00z', '2026-11-01T10:00:00Z'],
    ['no offset, which is UTC', '2026-01-01T01:02:03.123456', '2026-01-01T01:02:03.123456Z'],
    ['no seconds', '2026-11-01T10:00Z', '2026-11-01T10:00:00Z'],
    ['ISO 8601 without separators', '20261101T100000Z', '2026-11-01T10:00:00Z'],
    ['29 February of a leap year', '2024-02-29T00:00:00Z', '2024-02-29T00:00:00Z'],
    ['RFC 2822', 'Thu, 26 Nov 2026 10:00:00 +0100', '2026-11-26T10:00:00+01:00'],
    ['RFC 2822 without the day, nor seconds', '1 Nov 2026 10:00 GMT', '2026-11-01T10:00:00Z'],
    ['RFC 2822 with a named zone and a comment', 'Sun, 1 Nov 2026 10:00:00 PDT (Pacific)', '2026-11-01T10:00:00-07:00'],
    ['Eastern standard time', 'Sun, 1 Nov 2026 10:00:00 EST', '2026-11-01T10:00:00-05:00'],
    ['a date of HTTP', 'Wed, 08 Mar 2023 06:12:10 GMT', '2023-03-08T06:12:10Z'],
    ['an old date of HTTP', 'Wednesday, 08-Mar-23 06:12:10 GMT', '2023-03-08T06:12:10Z'],
    ['the oldest date of HTTP', 'Wed Mar  8 06:12:10 2023', '2023-03-08T06:12:10Z'],
    [
      'JavaScript’s own text',
      'Sun Nov 01 2026 11:00:00 GMT+0100 (Central European Standard Time)',
      '2026-11-01T11:00:00+01:00',
    ],
    ['a Date', new Date('2026-11-01T10:00:00.5Z'), '2026-11-01T10:00:00.500Z'],
    ['seconds', 1_767_225_600, '2026-01-01T00:00:00.000Z'],
    ['seconds with a fraction', 1_700_000_000.123, '2023-11-14T22:13:20.123Z'],
    ['milliseconds', 1_767_225_600_001, '2026-01-01T00:00:00.001Z'],
    ['microseconds', 1_767_225_600_001_999, '2026-01-01T00:00:00.001Z'],
    ['nanoseconds', 1.767_225_600_5e18, '2026-01-01T00:00:00.500Z'],
    ['digits', '1767225600', '2026-01-01T00:00:00.000Z'],
    ['digits with a fraction', '1767225600.25', '2026-01-01T00:00:00.250Z'],
    ['nanoseconds in digits', '1767225600001000000', '2026-01-01T00:00:00.001Z'],
    ['a text with space around it', ' 2026-11-01T10:00:00Z\n', '2026-11-01T10:00:00Z'],
  ])('is read from %s', (_, given, expected) => {
    expect(readCreatedAt(given)).toBe(expected)
  })
})

test.each([
  ['30 February', '2026-02-30T10:00:00Z'],
  ['29 February of no leap year', '2026-02-29T10:00:00Z'],
  ['31 April in a mail', '31 Apr 2026 10:00:00 GMT'],
  ['a month 13', '2026-13-01T10:00:00Z'],
  ['PayPal’s simulator, whose months and days are swapped', '2018-19-12T22:20:32.000Z'],
  ['an hour 25', '2026-11-01T25:00:00Z'],
  ['an hour 24', '2026-11-01T24:00:00Z'],
  ['a minute 60', '2026-11-01T10:60:00Z'],
  ['a second 61', '2026-11-01T10:00:61Z'],
  ['an offset of a day', '2026-11-01T10:00:00+24:00'],
  ['half of the separators', '2026-1101T10:00:00Z'],
  ['a day without a time', '2026-11-01'],
  ['a day without dashes', '20261101'],
  ['an unknown zone', 'Sun, 1 Nov 2026 10:00:00 XYZ'],
  ['the first year', '0001-01-01T00:00:00Z'],
  ['zero', 0],
  ['a second before the range', 946_684_799],
  ['the first second after the range', 4_102_444_800],
  ['a number between two units', 1e11],
  ['a number past all dates', 1e300],
  ['a negative number', -1_767_225_600],
  ['NaN', Number.NaN],
  ['an invalid Date', new Date(Number.NaN)],
  ['a Date of long ago, whose number could be seconds', new Date(1_767_225_600)],
  ['a text that Date would take for a time', 'banana 5'],
  ['an empty text', ''],
  ['a very long text', '1'.repeat(1_000_000)],
  ['an object', { seconds: 1_767_225_600 }],
  ['nothing', null],
])('the time of an event is not read from %s', (_, given) => {
  expect(readCreatedAt(given)).toBeUndefined()
})

const time = fc.date({
  min: new Date('2000-01-02T00:00:00Z'),
  max: new Date('2099-12-30T23:59:59Z'),
  noInvalidDate: true,
})
const msOf = (text: string | undefined): number => Date.parse(text ?? '')
const inSeconds = (date: Date): number => Math.floor(date.getTime() / 1_000) * 1_000

describe('any time from 2000 to 2099', () => {
  test('is read from a number in each unit, and from its digits', () => {
    fc.assert(
      fc.property(time, (date) => {
        const ms = date.getTime()
        expect(msOf(readCreatedAt(Math.floor(ms / 1_000)))).toBe(inSeconds(date))
        expect(msOf(readCreatedAt(ms / 1_000))).toBe(ms)
        for (const unit of [ms, ms * 1_000]) expect(msOf(readCreatedAt(unit))).toBe(ms)
        for (const digits of [`${ms}`, `${ms}000`, `${ms}000000`])
          expect(Math.abs(msOf(readCreatedAt(digits)) - ms)).toBeLessThanOrEqual(1)
      }),
      propertyParameters(),
    )
  })

  test('is read from RFC 3339 with any offset and fraction, as it was written', () => {
    const offset = fc
      .tuple(fc.constantFrom('+', '-'), fc.nat(14), fc.constantFrom('00', '30', '45'))
      .map(([sign, hours, minutes]) => `${sign}${String(hours).padStart(2, '0')}:${minutes}`)
    const fraction = fc.stringMatching(/^\d{1,9}$/).map((digits) => `.${digits}`)
    fc.assert(
      fc.property(time, fc.oneof(offset, fc.constant('Z')), fc.oneof(fraction, fc.constant('')), (date, zone, part) => {
        const text = `${date.toISOString().slice(0, 19)}${part}${zone}`
        expect(readCreatedAt(text)).toBe(text)
        expect(readCreatedAt(text.replace('T', ' ').toLowerCase())).toBe(text)
        expect(readCreatedAt(text.replace(/:(\d\d)$/, (end) => (zone === 'Z' ? end : end.slice(1))))).toBe(text)
      }),
      propertyParameters(),
    )
  })

  test('is read from a date of HTTP, of RFC 2822 and of JavaScript', () => {
    fc.assert(
      fc.property(time, (date) => {
        for (const text of [date.toUTCString(), date.toUTCString().replace('GMT', '+0000'), date.toString()])
          expect(msOf(readCreatedAt(text)), text).toBe(inSeconds(date))
      }),
      propertyParameters(),
    )
  })

  test('does not change when it is read again', () => {
    fc.assert(
      fc.property(fc.oneof(time.map(String), time.map(Number), fc.string(), fc.double()), (given) => {
        const read = readCreatedAt(given)
        if (read !== undefined) expect(readCreatedAt(read)).toBe(read)
      }),
      propertyParameters(),
    )
  })
})
