import { HoldfastError } from '../../domain/errors.ts'
import { EVENT_STATUSES, ORIGINS } from '../../domain/event.ts'
import type { EventFilter } from '../../domain/event-filter.ts'
import { EVENT_OUTCOMES } from '../../domain/outcome.ts'
import { parseMatch } from '../../domain/payload-match.ts'

/**
 * What a person types to find events: `source:stripe outcome:dead data.object.customer:cus_1 "no such card"`. A word with a colon is a
 * field or a path in the payload; every other one is a text in the body or the headers.
 */
export interface SearchWord {
  /** As it was typed. */
  readonly text: string
  readonly field: Field | 'path' | 'text'
  readonly value: string
}

const FIELDS = ['source', 'type', 'outcome', 'status', 'origin', 'task', 'id', 'since', 'until'] as const
type Field = (typeof FIELDS)[number]
const isField = (name: string): name is Field => (FIELDS as readonly string[]).includes(name)

/** Words of one search. */
const MAX_WORDS = 16
const WORD = /(?:[^\s"]|"(?:[^"\\]|\\.)*"?)+/g

export function wordsIn(query: string): readonly SearchWord[] {
  const texts = query.match(WORD) ?? []
  if (texts.length > MAX_WORDS)
    throw new HoldfastError('invalid_request', `a search may have ${MAX_WORDS} words: put a text with spaces in quotes`)
  return texts.map(wordOf)
}

function wordOf(text: string): SearchWord {
  const [, name, rest] = /^([^\s":]+):(.+)$/s.exec(text) ?? []
  if (name === undefined || rest === undefined) return { text, field: 'text', value: unquoted(text) }
  if (isField(name)) return { text, field: name, value: unquoted(rest) }
  // A URL is a text.
  if (rest.startsWith('//')) return { text, field: 'text', value: unquoted(text) }
  return { text, field: 'path', value: `${name}:${unquoted(rest)}` }
}

const unquoted = (text: string): string =>
  text.replaceAll(/"((?:[^"\\]|\\.)*)"?/g, (_, inner: string) => inner.replaceAll(/\\(.)/g, '$1'))

/** A value as a word that reads back as it. */
export const quoted = (value: string): string =>
  /^[^\s"\\]+$/.test(value) ? value : `"${value.replaceAll(/[\\"]/g, '\\$&')}"`

/** The filter that the words ask for. Throws `invalid_request`, with the word that is not understood. */
export function filterOfWords(words: readonly SearchWord[], nowMs: number): EventFilter {
  const filter: { -readonly [Name in keyof EventFilter]: EventFilter[Name] } = {}
  const matches = []
  const texts: string[] = []
  for (const { field, value, text } of words) {
    if (field === 'path') matches.push(parseMatch(value))
    else if (field === 'text') texts.push(value)
    else if (field === 'outcome') filter.outcome = oneOf(EVENT_OUTCOMES, value, text)
    else if (field === 'status') filter.status = oneOf(EVENT_STATUSES, value, text)
    else if (field === 'origin') filter.origin = oneOf(ORIGINS, value, text)
    else if (field === 'since') filter.sinceMs = timeOf(value, nowMs, text)
    else if (field === 'until') filter.untilMs = timeOf(value, nowMs, text)
    else if (field === 'id') filter.q = value
    else filter[field] = value
  }
  if (matches.length > 0) filter.match = matches
  if (texts.length > 0) filter.contains = texts.join(' ')
  return filter
}

function oneOf<Word extends string>(all: readonly Word[], value: string, text: string): Word {
  const word = all.find((each) => each === value)
  if (word === undefined) throw new HoldfastError('invalid_request', `${text}: one of ${all.join(', ')} is expected`)
  return word
}

const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const

/** A time, or how long ago: `2h`. */
function timeOf(value: string, nowMs: number, text: string): number {
  const [, amount, unit] = /^(\d{1,6})([smhdw])$/.exec(value) ?? []
  if (amount !== undefined) return nowMs - Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS]
  const ms = Date.parse(/^\d{4}-\d{2}-\d{2}$/.test(value) ? `${value}T00:00:00Z` : value)
  if (Number.isNaN(ms))
    throw new HoldfastError('invalid_request', `${text}: a time is expected, as 2h or 2026-11-26T02:41:00Z`)
  return ms
}
