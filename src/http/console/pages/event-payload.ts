import type { EventDetail } from '../../../domain/event-store.ts'
import { isDeeperThan } from '../../../domain/json.ts'
import { MAX_JSON_DEPTH, MAX_NAME_LENGTH } from '../../../domain/limits.ts'
import { faultOfPath } from '../../../domain/payload-match.ts'
import { Budget, fitting } from '../html/budget.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { isContainer, type JsonNode, jsonNodes, namesIn, nodeAt, pointerOf } from '../html/json-nodes.ts'
import { payloadTree, type TreeOptions } from '../html/payload-tree.ts'
import { cut, show } from '../html/show.ts'
import { bytes, counted } from '../html/words.ts'
import type { Visit } from '../routes.ts'
import { quoted, type SearchWord, wordOfPath, wordsIn } from '../search-words.ts'
import { searchOf } from './event-neighbours.ts'

/** A longer payload is not parsed: an acknowledgement would wait for it. */
export const MAX_PARSED_BYTES = 65_536
const MAX_RAW_BYTES = 16_384
/** Characters of one line that are shown together. */
const RAW_PIECE = 512
const MAX_VIEW_BYTES = 42_000
const MAX_HEADER_TEXT = 600
const VIEWS = ['tree', 'raw', 'headers'] as const
type View = (typeof VIEWS)[number]

/** The body of an event. */
export interface Payload {
  /** Undefined: it cannot be read. */
  readonly body: Uint8Array | undefined
  /** Parses it once, when it is first asked for; see `jsonOf`. */
  readonly json: () => JsonNode | undefined
}

export function payloadFrom(body: Uint8Array | undefined): Payload {
  let parsed: { readonly root: JsonNode | undefined } | undefined
  const json = (): JsonNode | undefined => {
    parsed ??= { root: body === undefined ? undefined : jsonOf(body) }
    return parsed.root
  }
  return { body, json }
}

/** The payload of an event, in one of its views. */
export function payloadOf(visit: Visit, event: EventDetail, payload: Payload): Html {
  const view = VIEWS.find((each) => each === visit.query.get('show')) ?? 'tree'
  return html`<section class="card" aria-labelledby="payload"><div class="title"><h2 id="payload">Payload</h2><nav class="seg" aria-label="Show">${VIEWS.map(
    (each) =>
      html`<a href="${own(urlOf(visit, event, { show: each }))}"${when(each === view, () => CURRENT)}>${own(`${each[0]?.toUpperCase()}${each.slice(1)}`)}</a>`,
  )}</nav></div>${payload.body === undefined ? UNREADABLE : shown(view, visit, event, payload.body, payload.json)}</section>`
}

const CURRENT = html` aria-current="true"`
const UNREADABLE = html`<p class="pad bad">Its stored bytes cannot be read, or do not match their checksum any more.</p>`

/** The same page, reached by the same search. */
export function urlOf(
  { query }: Visit,
  { uid }: Pick<EventDetail, 'uid'>,
  given: Readonly<Record<string, string>>,
): string {
  const search = [searchOf(query), new URLSearchParams(given).toString()].filter((each) => each !== '')
  return `/console/events/${uid}?${search.join('&')}#payload`
}

function shown(view: View, visit: Visit, event: EventDetail, body: Uint8Array, json: Payload['json']): Html {
  if (view === 'headers') return headersOf(event)
  if (view === 'raw') return raw(body)
  if (body.byteLength > MAX_PARSED_BYTES)
    return html`<p class="pad small muted">${own(bytes(body.byteLength))} are too many for a tree. Their beginning:</p>${raw(body)}`
  const root = json()
  if (root === undefined)
    return html`<p class="pad small muted">It is no JSON, or has too many values for a tree, or too deep ones.</p>${raw(body)}`
  return tree(visit, event, root)
}

/** Undefined: it is no JSON, or too large for the thread that acknowledges. */
export function jsonOf(body: Uint8Array): JsonNode | undefined {
  if (body.byteLength > MAX_PARSED_BYTES || isDeeperThan(body, MAX_JSON_DEPTH)) return undefined
  return jsonNodes(
    Buffer.from(body.buffer, body.byteOffset, body.byteLength)
      .toString()
      .replace(/^\ufeff/, ''),
  )
}

function tree(visit: Visit, event: EventDetail, root: JsonNode): Html {
  const names = namesAsked(visit.query.get('path') ?? '')
  const start = nodeAt(root, names)
  const whole = urlOf(visit, event, {})
  if (start === undefined)
    return html`<p class="pad small">The payload has nothing at <code>${show(names.join('.'), 120)}</code>. <a href="${own(whole)}">Show all of it</a></p>`
  const from = Math.min(wholeNumber(visit.query.get('from')), start.children.length)
  const options: TreeOptions = {
    from,
    isSought: soughtBy(visit.query.get('q') ?? ''),
    findUrl: (path, value) => findUrl(event.source, path, value),
    partUrl: (to, at) => urlOf(visit, event, { path: pointerOf(to), ...(at > 0 && { from: String(at) }) }),
  }
  const part = when(
    names.length > 0 || from > 0,
    () =>
      html`<p class="pad small part"><code>${show(names.join('.'), 120)}</code>${when(from > 0, () => html` from <b>${show(start.children[from]?.name ?? '', 80)}</b> on`)} · <a href="${own(whole)}">Show all of it</a></p>`,
  )
  const alone = !isContainer(start)
  return html`${part}${when(alone && names.length === 0, () => html`<p class="pad small muted part">One value:</p>`)}${payloadTree(start, options)}`
}

/** A pointer as the page writes it, or names with dots between as a person does. */
const namesAsked = (path: string): readonly string[] =>
  path === '' || path.startsWith('/') ? namesIn(path) : path.split('.')

const wholeNumber = (text: string | null): number => (/^\d{1,7}$/.test(text ?? '') ? Number(text) : 0)

/** The value that a word of the search asks for, or that has its text. */
function soughtBy(query: string): TreeOptions['isSought'] {
  const words = wordsOf(query)
  const texts = words.filter(({ field }) => field === 'text').map(({ value }) => value.toLowerCase())
  const matches = words.filter(({ field }) => field === 'path').map(({ value }) => value)
  if (texts.length === 0 && matches.length === 0) return () => false
  return ({ text }, path) =>
    matches.some((match) => match.endsWith(`:${text}`) && match === `${path()}:${text}`) ||
    texts.some((sought) => text.toLowerCase().includes(sought))
}

function wordsOf(query: string): readonly SearchWord[] {
  try {
    return wordsIn(query)
  } catch {
    return []
  }
}

/** Undefined: the words of a search cannot say it. */
function findUrl(source: string, path: readonly string[], value: string): string | undefined {
  const name = path.join('.')
  if (!name.isWellFormed() || path.some((each) => each.includes('.')) || faultOfPath(name) !== undefined)
    return undefined
  if (value === '' || value.length > MAX_NAME_LENGTH || /\p{C}/u.test(value)) return undefined
  const word = wordsOf(wordOfPath(name, value))
  if (word.length !== 1 || word[0]?.field !== 'path' || word[0].value !== `${name}:${value}`) return undefined
  return `/console/events?q=${encodeURIComponent(`source:${quoted(source)} ${word[0].text}`)}`
}

function headersOf({ headers }: EventDetail): Html {
  const all = Object.entries(headers)
  const pieces = fitting(
    all.map(([name, value]) => html`<dt>${show(name, 80)}</dt><dd>${show(value, MAX_HEADER_TEXT)}</dd>`),
    MAX_VIEW_BYTES,
  )
  const rest = all.length - pieces.length
  return html`<div class="pad"><dl class="kv mono">${pieces}</dl>${when(rest > 0, () => html`<p class="small muted">${own(counted(rest, 'more header'))}: the ops API has them.</p>`)}</div>`
}

/** The beginning of the bytes as text. Bytes that are no UTF-8 are shown one by one. */
function raw(body: Uint8Array): Html {
  const budget = new Budget(MAX_VIEW_BYTES)
  const beginning = Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, MAX_RAW_BYTES))
  const text = textOf(beginning)
  const pieces: Html[] = []
  let length = 0
  for (const line of (text ?? beginning.toString('latin1')).split(/(?<=\n)/)) {
    for (let from = 0; from < line.length && !budget.isSpent; ) {
      const piece = cut(line.slice(from, from + RAW_PIECE + 1), RAW_PIECE)
      from += piece.length
      const isEnd = from === line.length && piece.endsWith('\n')
      const taken = budget.take(
        html`${show(isEnd ? piece.slice(0, -1) : piece, RAW_PIECE)}${isEnd ? NEW_LINE : NOTHING}`,
      )
      if (taken !== undefined) pieces.push(taken)
      if (taken !== undefined) length += piece.length
    }
  }
  const isWhole = body.byteLength <= MAX_RAW_BYTES && !budget.isSpent
  return html`<pre class="trace raw" tabindex="0" role="group" aria-label="Raw payload">${pieces}</pre>
${when(text === undefined, () => html`<p class="pad small muted">It is not UTF-8: each byte is shown as a character.</p>`)}
${when(!isWhole, () => html`<p class="pad small muted">The first ${own(counted(length, 'character'))} of ${own(bytes(body.byteLength))}: the exact bytes are whole.</p>`)}`
}

const NEW_LINE = html`
`

/** Undefined: the bytes are not UTF-8. A character at their end may be cut. */
function textOf(beginning: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(beginning, { stream: true })
  } catch {
    return undefined
  }
}
