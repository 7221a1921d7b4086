import { HoldfastError } from '../../domain/errors.ts'
import { EVENT_STATUSES, ORIGINS } from '../../domain/event.ts'
import type { EventFilter } from '../../domain/event-filter.ts'
import { EVENT_OUTCOMES } from '../../domain/outcome.ts'
import { type PayloadMatch, parseMatch } from '../../domain/payload-match.ts'

/**
 * What a person types to find events: `source:stripe outcome:dead data.object.customer:cus_1 no such card`. A word with a colon is a
 * field or a path in the payload, and one with a dot before it is a path always (`.status:active`); all others together are one text in the
 * body or the headers.
 */
export interface SearchWord {
  /** As it was typed. */
  readonly text: string
  readonly field: Field | 'path' | 'text'
  readonly value: string
}

export const FIELDS = ['source', 'type', 'outcome', 'status', 'origin', 'task', 'id', 'since', 'until'] as const
type Field = (typeof FIELDS)[number]
const isField = (name: string): name is Field => (FIELDS as readonly string[]).includes(name)

/** Words of one search. */
const MAX_WORDS = 16
const WORD = /(?:[^\s"]|"(?:[^"\\]|\\.)*"?)+/g

/** Words of a text that stand beside each other are one. */
export function wordsIn(query: string): readonly SearchWord[] {
  const texts = query.match(WORD) ?? []
  if (texts.length > MAX_WORDS)
    throw new HoldfastError('invalid_request', `a search may have ${MAX_WORDS} words: put a text with spaces in quotes`)
  const words: SearchWord[] = []
  for (const word of texts.map(wordOf)) {
    const last = words.at(-1)
    if (word.field === 'text' && last?.field === 'text')
      words[words.length - 1] = { ...last, text: `${last.text} ${word.text}`, value: `${last.value} ${word.value}` }
    else words.push(word)
  }
  return words
}

function wordOf(text: string): SearchWord {
  const [, name, rest] = /^([^\s":]+):(.+)$/s.exec(text) ?? []
  if (name === undefined || rest === undefined) return { text, field: 'text', value: unquoted(text) }
  if (isField(name)) return { text, field: name, value: unquoted(rest) }
  // A URL is a text.
  if (rest.startsWith('//')) return { text, field: 'text', value: unquoted(text) }
  return { text, field: 'path', value: `${name.replace(/^\./, '')}:${unquoted(rest)}` }
}

const unquoted = (text: string): string =>
  text.replaceAll(/"((?:[^"\\]|\\.)*)"?/g, (_, inner: string) => inner.replaceAll(/\\(.)/g, '$1'))

/** A value as a word that reads back as it. */
export const quoted = (value: string): string =>
  /^[^\s"\\]+$/.test(value) ? value : `"${value.replaceAll(/[\\"]/g, '\\$&')}"`

/** The word that finds payloads with this value at this path. */
export const wordOfPath = (path: string, value: string): string =>
  `${isField(path) || Object.hasOwn(NO_FIELDS, path) ? '.' : ''}${path}:${quoted(value)}`

export const queryOf = (words: readonly SearchWord[]): string => words.map(({ text }) => text).join(' ')

type Growing = { -readonly [Name in keyof EventFilter]: EventFilter[Name] }

/** The filter that the words ask for. Throws `invalid_request`, with the word that is not understood. */
export function filterOfWords(words: readonly SearchWord[], nowMs: number): EventFilter {
  const filter: Growing = {}
  const matches = []
  const given = new Set<string>()
  for (const word of words) {
    const { field, text } = word
    if (field === 'path') {
      matches.push(matchOf(word))
      continue
    }
    if (given.has(field))
      throw invalid(text, field === 'text' ? 'put all of the text side by side' : `${field}: stands twice`)
    given.add(field)
    addTo(filter, word, nowMs)
  }
  if (matches.length > 0) filter.match = matches
  return filter
}

function addTo(filter: Growing, { field, value, text }: SearchWord, nowMs: number): void {
  if (field === 'text') filter.contains = value
  else if (field === 'outcome') filter.outcome = oneOf(EVENT_OUTCOMES, value, text)
  else if (field === 'status') filter.status = oneOf(EVENT_STATUSES, value, text)
  else if (field === 'origin') filter.origin = oneOf(ORIGINS, value, text)
  else if (field === 'since') filter.sinceMs = timeOf(value, nowMs, text)
  else if (field === 'until') filter.untilMs = timeOf(value, nowMs, text, DAY_MS)
  else if (field === 'id') filter.q = value
  else if (field !== 'path') filter[field] = value
}

const invalid = (text: string, what: string): HoldfastError => new HoldfastError('invalid_request', `${text}: ${what}`)

/** Words that look like fields, and are none. */
const NO_FIELDS: Readonly<Record<string, string>> = {
  handler: 'events are not found by handler: Dead letters and Handlers are listed by it',
  cause: 'events are not found by cause: Dead letters are listed by it',
}

function matchOf({ value, text }: SearchWord): PayloadMatch {
  const [, name = ''] = /^([^:]+):/.exec(text) ?? []
  const fault = Object.hasOwn(NO_FIELDS, name) ? NO_FIELDS[name] : undefined
  if (fault !== undefined) throw invalid(text, fault)
  if (name.startsWith('-') && isField(name.slice(1))) throw invalid(text, 'a word cannot be excluded')
  try {
    return parseMatch(value)
  } catch (error) {
    throw error instanceof HoldfastError ? invalid(text, error.message.replace(/^match /, 'it ')) : error
  }
}

function oneOf<Word extends string>(all: readonly Word[], value: string, text: string): Word {
  const word = all.find((each) => each === value)
  if (word === undefined) throw invalid(text, `one of ${all.join(', ')} is expected`)
  return word
}

const DAY_MS = 86_400_000
const UNITS_MS = { s: 1_000, m: 60_000, min: 60_000, h: 3_600_000, d: DAY_MS, w: 7 * DAY_MS } as const

/** How long ago (`2h`), the last time that a clock showed this (`02:41`), a day (its end: `dayMs` later), or a moment; in UTC. */
export function timeOf(value: string, nowMs: number, text: string, dayMs = 0): number {
  const [, amount, unit] = /^(\d{1,6})(s|m|min|h|d|w)$/.exec(value) ?? []
  if (amount !== undefined) return nowMs - Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS]
  if (/^\d{1,2}:\d{2}(:\d{2})?$/.test(value)) {
    const day = new Date(nowMs).toISOString().slice(0, 11)
    const ms = Date.parse(
      `${day}${value.padStart(value.length === 4 || value.length === 7 ? value.length + 1 : 0, '0')}Z`,
    )
    if (!Number.isNaN(ms)) return ms > nowMs ? ms - DAY_MS : ms
  }
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(value)
  const isZoned = /(Z|[+-]\d{2}:?\d{2})$/i.test(value)
  const ms = Date.parse(isDay ? `${value}T00:00:00Z` : isZoned ? value : `${value}Z`)
  if (Number.isNaN(ms) || !/^\d{4}-/.test(value))
    throw invalid(text, 'a time is expected: 2h, 02:41, 2026-11-26 or 2026-11-26T02:41')
  return isDay ? ms + dayMs : ms
}

/**
 * The words, with their times written out and an end: what matches them at this moment, and nothing that comes later. Throws as
 * `filterOfWords`.
 */
export function frozen(words: readonly SearchWord[], nowMs: number): string {
  const { sinceMs, untilMs = nowMs } = filterOfWords(words, nowMs)
  const others = words.filter(({ field }) => field !== 'since' && field !== 'until').map(({ text }) => text)
  const written = (field: Field, ms: number): string => `${field}:${new Date(ms).toISOString()}`
  return [
    ...others,
    ...(sinceMs === undefined ? [] : [written('since', sinceMs)]),
    written('until', Math.min(untilMs, nowMs)),
  ].join(' ')
}
