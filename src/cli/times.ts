import { durationMs } from '../domain/clock.ts'
import { UsageError } from './command.ts'

/** The time of an option as RFC 3339. The operator gives RFC 3339, or a duration before now. */
export function timeOf(option: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const agoMs = durationMs(text)
  const ms = agoMs === undefined ? parseTime(text) : Date.now() - agoMs
  if (Number.isNaN(ms))
    throw new UsageError(`--${option} is neither a time (RFC 3339) nor a while such as 15m, 2h or 7d`)
  return new Date(ms).toISOString()
}

/** RFC 3339. The time may be left out (then midnight, UTC), and so may the offset (then this machine's). */
const TIME = /^\d{4}-\d{2}-\d{2}(?:[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d{2}:\d{2})?)?$/

/** NaN if it is no time. `Date.parse` alone takes `1` for the year 2001, and 30 February for 2 March. */
function parseTime(text: string): number {
  const day = text.slice(0, 10)
  const isDay = !Number.isNaN(Date.parse(day)) && new Date(day).toISOString().startsWith(day)
  return TIME.test(text) && isDay ? Date.parse(text) : Number.NaN
}

interface Times {
  readonly since?: string | undefined
  readonly until?: string | undefined
}

/** The times of the options `--since` and `--until`. Throws where the two exclude every time: a list would be empty without a word. */
export function timesOf(given: Times): { readonly since: string | undefined; readonly until: string | undefined } {
  const [since, until] = [timeOf('since', given.since), timeOf('until', given.until)]
  if (since !== undefined && until !== undefined && Date.parse(since) > Date.parse(until))
    throw new UsageError(`--since is ${since}, after --until, which is ${until}`)
  return { since, until }
}
