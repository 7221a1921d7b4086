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
  /** `list`: it is asked for in the list of dead letters. */
  readonly view: string | undefined
  /** What is selected; empty: all that match. */
  readonly picked: readonly Picked[]
  /** When the page asked: what came later is not meant. */
  readonly atMs: number
}

/** A selected event; with a handler, its delivery to that one alone. */
export interface Picked {
  readonly uid: string
  readonly handler?: string
}

/** Events that a person may select one by one. */
export const MAX_SELECTED = 30
/** How old the page may be from which a form is sent. */
const MAX_AGE_MS = 86_400_000

const NAMES = ['q', 'handler', 'source', 'cause', 'view'] as const

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
  const values = [...new Set(valuesOf('uid'))]
  if (values.length > MAX_SELECTED)
    throw new HoldfastError('invalid_request', `select ${MAX_SELECTED} events at most, or take all that match`)
  // The form of a list says so: without a selection it must not mean all.
  if (values.length === 0 && one('of') === 'selection')
    throw new HoldfastError('invalid_request', 'no event is selected: go back, and select some')
  const handler = one('handler')
  const picked = values.map((value) => pickedBy(value, handler))
  const atMs = Number(one('at') ?? nowMs)
  if (!Number.isSafeInteger(atMs) || atMs > nowMs + MAX_AGE_MS)
    throw new HoldfastError('invalid_request', 'the time at which the page asked is not valid')
  if (nowMs - atMs > MAX_AGE_MS) throw new HoldfastError('conflict', 'the page is more than a day old: load it again')
  return { q: one('q') ?? '', handler, source: one('source'), cause: one('cause'), view: one('view'), picked, atMs }
}

/** `<uid>`, or `<uid>:<handler>`. */
function pickedBy(value: string, otherwise: string | undefined): Picked {
  const [uid = ''] = value.split(':', 1)
  if (!isUid(uid)) throw new HoldfastError('invalid_request', 'a selected event has no valid uid')
  const handler = value.slice(uid.length + 1) || otherwise
  return { uid, ...(handler !== undefined && { handler }) }
}

const valueOf = ({ uid, handler }: Picked): string => (handler === undefined ? uid : `${uid}:${handler}`)

/** All events that are meant. Throws `invalid_request`, with the word that is not understood, or if some are selected. */
export function filterOf({ q, handler, source, cause, picked, atMs }: Meant): ReplayFilter {
  if (picked.length > 0)
    throw new HoldfastError('invalid_request', 'all that match are meant here, and not a selection')
  const words = filterOfWords(wordsIn(q), atMs)
  return {
    ...words,
    ...(handler !== undefined && { handler }),
    ...(source !== undefined && { source }),
    ...(cause !== undefined && { cause }),
    untilMs: Math.min(words.untilMs ?? Number.POSITIVE_INFINITY, atMs),
  }
}

/** The form that does what the page asks. Those who may only read see what it would do. */
export const question = (visit: Visit, action: string, meant: Meant, content: Html): Html =>
  visit.mayChange
    ? html`<form class="card pad stack" method="post" action="${own(action)}">${meantFields(meant, visit)}${content}</form>`
    : html`<div class="card pad stack">${content}</div>`

/** In the form: the same again, so that what is done is what was shown. */
const meantFields = (meant: Meant, { frame }: Visit): Html =>
  html`${csrfField(frame)}${Object.entries(askedOf(meant)).map(([name, value]) => field(name, value))}${meant.picked.map((each) => field('uid', valueOf(each)))}${field('at', String(meant.atMs))}`

const field = (name: string, value: string): Html =>
  html`<input type="hidden" name="${own(name)}" value="${own(value)}">`

/** Where the person came from. */
export function originOf({ q, handler, source, cause, view }: Meant): string {
  if (view === 'list') {
    const named = Object.entries({ handler, source, cause }).flatMap(([name, value = '']) =>
      value === '' ? [] : [[name, value]],
    )
    return `/console/dead/list?${new URLSearchParams(named).toString()}`
  }
  if (cause !== undefined || handler !== undefined)
    return handler === undefined ? '/console/dead' : `/console/dead?handler=${encodeURIComponent(handler)}`
  return q === '' ? '/console/events' : `/console/events?q=${encodeURIComponent(q)}`
}
