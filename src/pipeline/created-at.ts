/** Characters; every form below is shorter. */
const MAX_LENGTH = 100

/** The range of plausible times; a time outside it is a placeholder, or in another unit. The end is exclusive. */
const FIRST_MS = Date.UTC(2000, 0, 1)
const END_MS = Date.UTC(2100, 0, 1)

/** Units of numbers: seconds, milliseconds, microseconds and nanoseconds since the epoch. Their plausible ranges do not overlap. */
const UNITS_PER_MS = [1e-3, 1, 1e3, 1e6]

/**
 * Reads a time in a form that senders use, and gives it as RFC 3339. Undefined: the value is not a time from 2000 to 2099. It reads:
 * - RFC 3339 and variants of it: a space in place of the `T`, lower case, no colon in the offset or no colon at all (ISO 8601), no
 *   seconds, ` UTC`, or no offset, which counts as UTC. Up to nine digits of the fraction are kept, and so is the offset;
 * - RFC 2822, the three date forms of HTTP (RFC 9110), and a JavaScript Date as text;
 * - seconds (also with a fraction), milliseconds, microseconds or nanoseconds since the epoch, as a number or as digits; the result
 *   has milliseconds;
 * - a Date, which the code of a module may give.
 */
export function readCreatedAt(value: unknown): string | undefined {
  if (typeof value === 'number') return ofNumber(value)
  if (value instanceof Date && !Number.isNaN(value.getTime())) return readCreatedAt(value.toISOString())
  if (typeof value !== 'string' || value.length > MAX_LENGTH) return undefined
  if (COMMON.test(value)) return value
  const text = value.trim()
  if (DIGITS.test(text)) return ofNumber(Number(text))
  for (const [pattern, read] of FORMS) {
    const found = pattern.exec(text)?.groups
    if (found !== undefined) return rfc3339(read(found))
  }
  return undefined
}

/** The form that most senders use, which is also the result: no parsing is needed. Days 29 to 31 are checked against the calendar below. */
const COMMON = /^20\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?Z$/

/** At least nine digits, because eight could be a date without dashes. */
const DIGITS = /^\d{9,19}(?:\.\d{1,9})?$/

function ofNumber(value: number): string | undefined {
  for (const perMs of UNITS_PER_MS) {
    const ms = Math.floor(perMs < 1 ? roundToMicro(value * 1_000) : value / perMs)
    if (ms >= FIRST_MS && ms < END_MS) return new Date(ms).toISOString()
  }
  return undefined
}

/** A binary number cannot represent 1700000000.123 s exactly. */
const roundToMicro = (ms: number): number => Math.round(ms * 1_000) / 1_000

/** The fields of a written time; the offset is in the form of RFC 3339. */
interface Fields {
  readonly year: number
  /** 1 to 12. */
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly fraction: string
  readonly offset: string | undefined
}

type Groups = Readonly<Record<string, string | undefined>>

const MONTHS = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ')
const DAY_NAME = '(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?'
const MONTH = `(?<month>${MONTHS.join('|')})`
const CLOCK = '(?<hour>\\d\\d?):(?<minute>\\d\\d)(?::(?<second>\\d\\d))?'
const ZONE = '(?<zone>z|ut|utc|gmt|[ecmp][sd]t|(?:gmt|utc)?[+-]\\d\\d:?\\d\\d)(?: ?\\([^()]*\\))?'

const withNames = (groups: Groups): Fields =>
  fieldsOf(groups, MONTHS.indexOf(String(groups.month).toLowerCase()) + 1, yearOf(String(groups.year)))

const FORMS: readonly (readonly [RegExp, (found: Groups) => Fields])[] = [
  [
    /^(?<year>\d{4})(?<dash>-?)(?<month>\d\d)\k<dash>(?<day>\d\d)[t ](?<hour>\d\d)(?<colon>:?)(?<minute>\d\d)(?:\k<colon>(?<second>\d\d)(?:[.,](?<fraction>\d{1,30}))?)?(?: ?(?<zone>z|utc|gmt|[+-]\d\d(?::?\d\d)?)(?: utc| gmt)?)?$/i,
    (found) => fieldsOf(found, Number(found.month), Number(found.year)),
  ],
  // RFC 2822, and HTTP's IMF-fixdate and RFC 850.
  [
    new RegExp(`^(?:${DAY_NAME}, ?)?(?<day>\\d\\d?)[ -]${MONTH}[ -](?<year>\\d{4}|\\d\\d) ${CLOCK} ${ZONE}$`, 'i'),
    withNames,
  ],
  // HTTP's asctime form, which is in UTC.
  [new RegExp(`^${DAY_NAME} ${MONTH} {1,2}(?<day>\\d\\d?) ${CLOCK} (?<year>\\d{4})$`, 'i'), withNames],
  // `Date.prototype.toString` of JavaScript.
  [new RegExp(`^${DAY_NAME} ${MONTH} (?<day>\\d\\d) (?<year>\\d{4}) ${CLOCK} ${ZONE}$`, 'i'), withNames],
]

const fieldsOf = (
  { day, hour, minute, second = '0', fraction = '', zone }: Groups,
  month: number,
  year: number,
): Fields => ({
  year,
  month,
  day: Number(day),
  hour: Number(hour),
  minute: Number(minute),
  second: Number(second),
  fraction: fraction.slice(0, 9),
  offset: zone === undefined ? 'Z' : offsetOf(zone.toLowerCase()),
})

/** Years of two digits as in RFC 2822. */
const yearOf = (digits: string): number =>
  digits.length > 2 ? Number(digits) : Number(digits) + (Number(digits) < 50 ? 2_000 : 1_900)

/** The first letter of RFC 2822's zone names → offset of the standard time in hours. */
const NAMED_ZONES = new Map([
  ['e', -5],
  ['c', -6],
  ['m', -7],
  ['p', -8],
])

/** Undefined: the offset is not valid. */
function offsetOf(zone: string): string | undefined {
  const [, sign, hours = '', minutes = '00'] = /([+-])(\d\d):?(\d\d)?$/.exec(zone) ?? []
  if (sign !== undefined) return Number(hours) < 24 && Number(minutes) < 60 ? `${sign}${hours}:${minutes}` : undefined
  const standard =
    zone.length === 3 && zone.endsWith('t') && zone !== 'gmt' ? NAMED_ZONES.get(zone.charAt(0)) : undefined
  return standard === undefined ? 'Z' : `-0${-standard - (zone.charAt(1) === 'd' ? 1 : 0)}:00`
}

function rfc3339({ year, month, day, hour, minute, second, fraction, offset }: Fields): string | undefined {
  const ms = Date.UTC(year, month - 1, day, hour, minute, second)
  const date = new Date(ms)
  const isOnCalendar = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
  if (offset === undefined || !isOnCalendar || hour > 23 || minute > 59 || second > 59) return undefined
  if (ms < FIRST_MS || ms >= END_MS) return undefined
  return `${date.toISOString().slice(0, -'.000Z'.length)}${fraction && `.${fraction}`}${offset}`
}
