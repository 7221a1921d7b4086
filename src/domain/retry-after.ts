import type { Headers } from './event.ts'

/**
 * The wait that an answer asks for, `maxMs` at most; undefined if it asks for none. RFC 9110 §10.2.3: seconds with any number of
 * digits, or a date; some servers write a fraction. Any other text is ignored: JavaScript would read ` 40` as the year 2040.
 */
export function retryAfterOf({ 'retry-after': value }: Headers, nowMs: number, maxMs: number): number | undefined {
  if (value === undefined) return undefined
  const text = value.trim()
  const ms = /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1_000 : timeOf(text) - nowMs
  return Number.isNaN(ms) ? undefined : Math.min(maxMs, Math.max(0, Math.ceil(ms)))
}

/** The time of an HTTP date in any of its three forms, one of which does not say that it is in GMT; NaN for any other text. */
const timeOf = (text: string): number =>
  /^(?:mon|tue|wed|thu|fri|sat|sun)/i.test(text) ? Date.parse(/gmt$/i.test(text) ? text : `${text} GMT`) : Number.NaN
