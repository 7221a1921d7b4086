import { HoldfastError } from '../../../domain/errors.ts'
import { isUid } from '../../../domain/names.ts'
import type { ReplayFilter } from '../../../domain/replay-jobs.ts'
import { type Html, html, own } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import type { Visit } from '../routes.ts'
import { filterOfWords, wordsIn } from '../search-words.ts'

/**
 * What a person means to replay or to discard: all that match the words of a search, or a group of dead letters, or a selection. It stands
 * in the URL of the page that asks, and in the form of that page.
 */
export interface Meant {
  readonly q: string
  readonly handler: string | undefined
  readonly source: string | undefined
  readonly cause: string | undefined
  /** Selected events; empty: all that match. */
  readonly uids: readonly string[]
  /** When the page asked: what came later is not meant. */
  readonly atMs: number
}

/** Events that a person may select one by one. */
export const MAX_SELECTED = 30
/** How old the page may be from which a form is sent. */
const MAX_AGE_MS = 86_400_000

const NAMES = ['q', 'handler', 'source', 'cause'] as const

/** Which parameters the page that asks takes. */
export type Asked = Readonly<Partial<Record<(typeof NAMES)[number] | 'probe', string>>>

/** The page that asks before it is done. */
export const bulkUrl = (what: 'replay' | 'discard', asked: Asked): string =>
  `/console/${what}?${new URLSearchParams(Object.entries(asked)).toString()}`

/** The same as parameters, without the selection and the moment. */
export const askedOf = (meant: Meant): Asked =>
  Object.fromEntries(
    NAMES.flatMap((name) => (meant[name] === undefined || meant[name] === '' ? [] : [[name, meant[name]]])),
  )

/** Throws `invalid_request`, or `conflict` if the page is too old. */
export function meantBy(valuesOf: (name: string) => readonly string[], nowMs: number): Meant {
  const one = (name: string): string | undefined => valuesOf(name).find((value) => value !== '')
  const uids = [...new Set(valuesOf('uid'))]
  if (uids.length > MAX_SELECTED)
    throw new HoldfastError('invalid_request', `select ${MAX_SELECTED} events at most, or take all that match`)
  // The form of a list says so: without a selection it must not mean all.
  if (uids.length === 0 && one('of') === 'selection')
    throw new HoldfastError('invalid_request', 'no event is selected: go back, and select some')
  if (!uids.every(isUid)) throw new HoldfastError('invalid_request', 'a selected event has no valid uid')
  const atMs = Number(one('at') ?? nowMs)
  if (!Number.isSafeInteger(atMs) || atMs > nowMs + MAX_AGE_MS)
    throw new HoldfastError('invalid_request', 'the time at which the page asked is not valid')
  if (nowMs - atMs > MAX_AGE_MS) throw new HoldfastError('conflict', 'the page is more than a day old: load it again')
  return { q: one('q') ?? '', handler: one('handler'), source: one('source'), cause: one('cause'), uids, atMs }
}

/** The events that are meant. Throws `invalid_request`, with the word that is not understood. */
export function filterOf({ q, handler, source, cause, atMs }: Meant): ReplayFilter {
  const words = filterOfWords(wordsIn(q), atMs)
  return {
    ...words,
    ...(handler !== undefined && { handler }),
    ...(source !== undefined && { source }),
    ...(cause !== undefined && { cause }),
    untilMs: Math.min(words.untilMs ?? Number.POSITIVE_INFINITY, atMs),
  }
}

/** In the form: the same again, so that what is done is what was shown. */
export const meantFields = (meant: Meant, { frame }: Visit): Html =>
  html`${csrfField(frame)}${Object.entries(askedOf(meant)).map(([name, value]) => field(name, value))}${meant.uids.map((uid) => field('uid', uid))}${field('at', String(meant.atMs))}`

const field = (name: string, value: string): Html =>
  html`<input type="hidden" name="${own(name)}" value="${own(value)}">`

/** Where the person came from. */
export function originOf({ q, handler, cause, uids }: Meant): string {
  if (cause !== undefined || handler !== undefined)
    return handler === undefined ? '/console/dead' : `/console/dead?handler=${encodeURIComponent(handler)}`
  return q === '' || uids.length > 0 ? '/console/events' : `/console/events?q=${encodeURIComponent(q)}`
}
