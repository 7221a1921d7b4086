import type { DeliverySummary } from '../../../domain/delivery.ts'
import type { EventSummary } from '../../../domain/event.ts'
import { MAX_DELIVERIES_OF } from '../../../domain/event-facets.ts'
import type { EventFilter } from '../../../domain/event-filter.ts'
import type { EventOutcome } from '../../../domain/outcome.ts'
import type { SearchPage } from '../../../domain/page.ts'
import { Budget } from '../html/budget.ts'
import { between, type Html, html, NOTHING, own, when } from '../html/html.ts'
import { state } from '../html/marks.ts'
import { plain, show } from '../html/show.ts'
import { type Column, table } from '../html/table.ts'
import { capped, counted, duration, time } from '../html/words.ts'
import type { Visit } from '../routes.ts'
import { frozen, queryOf, type SearchWord } from '../search-words.ts'
import type { Fewer } from './fewer-words.ts'
import { countedByState, worstFirst } from './samples.ts'
import { selectionBar, selectionForm } from './selection-form.ts'

export interface Found {
  readonly visit: Visit
  readonly words: readonly SearchWord[]
  readonly filter: EventFilter
  /** Undefined: it is the first page. */
  readonly cursor: string | undefined
  readonly page: SearchPage<EventSummary>
  readonly pageSize: number
  readonly deliveries: readonly DeliverySummary[]
  /** Whether the handler, or the source of its event, is paused. */
  readonly isPaused: (delivery: DeliverySummary) => boolean
  /** If nothing matches: what would with fewer words. */
  readonly fewer: readonly Fewer[]
}

/** The URL of the list with these words. */
export const listUrl = (words: readonly SearchWord[], cursor?: string): string => {
  const params = new URLSearchParams()
  const text = queryOf(words)
  if (text !== '') params.set('q', text)
  if (cursor !== undefined) params.set('cursor', cursor)
  return params.size === 0 ? '/console/events' : `/console/events?${params.toString()}`
}

/** What the deliveries of one event, and of all in the list, may take; further ones are only counted. */
const MAX_DELIVERIES = 3
const MAX_DELIVERIES_BYTES = 16_000
/** A longer search does not go along with each event of its list. */
const MAX_QUERY_IN_LINK = 300

export const wordOfOutcome = (outcome: EventOutcome): string => (outcome === 'none' ? 'no handler' : outcome)

/** The part of the page that is fetched again as events come. */
export function list(found: Found): Html {
  const { page, filter, visit, deliveries } = found
  if (page.items.length === 0) return empty(found)
  const of = Map.groupBy(deliveries, ({ eventUid }) => eventUid)
  const cell = deliveriesCell(found, deliveries.length === MAX_DELIVERIES_OF)
  return selectionForm(
    visit,
    found.words.length === 0 ? {} : { q: queryOf(found.words) },
    table<EventSummary>({
      caption: 'Events, newest first',
      rows: page.items,
      idOf: ({ uid }) => `e-${uid}`,
      head: when(visit.mayChange, () => bulk(found)),
      columns: [
        ...(visit.mayChange ? [SELECTION] : []),
        {
          title: 'Received, UTC',
          kind: 'short',
          cell: ({ receivedAtMs }) => time(receivedAtMs, visit.nowMs, 'milliseconds'),
        },
        {
          title: 'Outcome',
          onPhone: 'end',
          cell: ({ outcome = 'none' }) => state(outcome, own(wordOfOutcome(outcome))),
        },
        { title: 'Type', kind: 'name', onPhone: 'wide', cell: (event) => link(event, found) },
        {
          title: 'Deliveries',
          kind: 'cut',
          onPhone: 'wide',
          cell: (event) => cell(event, of.get(event.uid) ?? []),
        },
        ...(filter.source === undefined ? [SOURCE] : []),
        {
          title: 'Uid',
          kind: 'mono',
          onPhone: 'gone',
          cell: (event) => html`<a href="${own(urlOf(event, found))}">…${own(event.uid.slice(-6))}</a>`,
        },
      ],
      foot: foot(found),
    }),
  )
}

const SELECTION: Column<EventSummary> = {
  title: 'Select',
  isTitleHidden: true,
  cell: ({ uid, type }) =>
    html`<input type="checkbox" name="uid" value="${own(uid)}" id="s-${own(uid)}" aria-label="Select ${plain(type, 60)}, ${own(uid.slice(-6))}">`,
}

const SOURCE: Column<EventSummary> = { title: 'Source', onPhone: 'gone', cell: ({ source }) => show(source, 40) }

/** What can be done with the selected events, and with all that match now: the times of the search are written out, and it has an end. */
function bulk({ words, filter, visit, cursor }: Found): Html {
  const q = encodeURIComponent(frozen(words, visit.nowMs))
  const isDead = filter.outcome === 'dead'
  if (filter.outcome === 'pending')
    return selectionBar(html`<span class="muted">They are due already: there is nothing to replay</span>`)
  return selectionBar(
    html`<span class="muted">All that match${own(cursor === undefined ? '' : ', on all pages')}</span> <a class="btn" href="/console/replay?q=${own(q)}" data-key="a">Replay all…</a>${when(isDead, () => html` <a class="btn" href="/console/discard?q=${own(q)}">Discard all…</a>`)}`,
  )
}

/** With the search, so that the page of the event leads to the next one. */
function urlOf({ uid }: EventSummary, { words, cursor }: Found): string {
  const params = new URLSearchParams({ q: queryOf(words), ...(cursor !== undefined && { cursor }) }).toString()
  const search = params.length > MAX_QUERY_IN_LINK ? '' : `?${params}`
  return `/console/events/${uid}${search}`
}

const link = (event: EventSummary, found: Found): Html =>
  html`<a class="row" href="${own(urlOf(event, found))}" id="l-${own(event.uid)}">${show(event.type, 60)}</a>`

/**
 * What became of each event, in a line: the deliveries that need a person first, and one error. `isCut`: an event may have more deliveries
 * than are given.
 */
function deliveriesCell({ visit: { nowMs }, isPaused }: Found, isCut: boolean) {
  const budget = new Budget(MAX_DELIVERIES_BYTES)
  const named = (delivery: DeliverySummary): Html => quiet(delivery, isPaused)
  const quietly = (text: string): Html => html`<span class="muted">${own(text)}</span>`
  const counted = (deliveries: readonly DeliverySummary[], more?: string): string =>
    isCut ? 'and more' : countedByState(deliveries, more)
  return ({ status, reasons, outcome = 'none' }: EventSummary, deliveries: readonly DeliverySummary[]): Html => {
    if (deliveries.length === 0 && isCut && outcome !== 'none') return quietly('its page has them')
    if (deliveries.length === 0)
      return html`<span class="muted">${own(status)}${reasons[0] === undefined ? NOTHING : html`: ${show(reasons[0], 120)}`}</span>`
    const inOrder = worstFirst(deliveries)
    const shown = inOrder.slice(0, MAX_DELIVERIES)
    const rest = inOrder.slice(MAX_DELIVERIES)
    const dot = html`<span class="muted"> · </span>`
    const [first, ...others] = shown
    const line =
      first !== undefined && isFailed(first)
        ? beside(
            failed(first, nowMs, isPaused),
            rest.length === 0 ? between(others.map(named), dot) : quietly(counted(inOrder.slice(1), ' more')),
          )
        : between(rest.length === 0 ? shown.map(named) : [...shown.map(named), quietly(counted(rest, ' more'))], dot)
    return budget.take(line) ?? quietly(isCut ? 'its page has them' : countedByState(inOrder))
  }
}

/** What there is room for of an error, and what must not go with it. */
const beside = (error: Html, others: Html): Html =>
  others === NOTHING
    ? error
    : html`<div class="pair"><span>${error}</span><span><span class="muted">· </span>${others}</span></div>`

const isFailed = ({ lastError, state: now }: DeliverySummary): boolean => lastError !== undefined && now !== 'succeeded'

const failed = (delivery: DeliverySummary, nowMs: number, isPaused: Found['isPaused']): Html =>
  html`<span class="muted">${show(delivery.handler, 40)}${own(nextOf(delivery, nowMs, isPaused))}:</span> ${show(delivery.lastError ?? '', 120)}`

function nextOf(delivery: DeliverySummary, nowMs: number, isPaused: Found['isPaused']): string {
  const { state: now, attempts, dueAtMs } = delivery
  if (now !== 'pending') return attempts > 1 ? ` after ${attempts} attempts` : ''
  if (isPaused(delivery)) return ' paused'
  return dueAtMs <= nowMs
    ? `, attempt ${attempts + 1} now`
    : `, attempt ${attempts + 1} in ${duration(dueAtMs - nowMs)}`
}

const quiet = (delivery: DeliverySummary, isPaused: Found['isPaused']): Html => {
  const { handler, state: now, attempts, waitsForTurn } = delivery
  const after = attempts > 1 ? ` after ${attempts} attempts` : ''
  const word =
    now === 'succeeded'
      ? after
      : now === 'pending' && isPaused(delivery)
        ? ' paused'
        : waitsForTurn
          ? ' waits for its turn'
          : ` ${now}`
  return html`<span class="muted">${show(handler, 40)}${own(word)}</span>`
}

function foot({ page, pageSize, words, visit, cursor }: Found): Html {
  const { nextCursor, items } = page
  const isShort = nextCursor !== undefined && items.length < pageSize
  const newest = cursor === undefined ? NOTHING : html`<a class="btn" href="${own(listUrl(words))}">Newest</a>`
  const older =
    nextCursor === undefined
      ? NOTHING
      : html`<a class="btn" rel="next" href="${own(listUrl(words, nextCursor))}">${own(isShort ? 'Search on' : 'Older')}</a>`
  return html`<div class="foot"><span>${own(counted(items.length, 'event'))}, newest first. ${searched(page, isShort, visit)}</span><span class="bar">${newest}${older}</span></div>`
}

/** How far was searched. */
function searched({ nextCursor, scannedUntilMs }: Found['page'], isShort: boolean, { nowMs }: Visit): Html {
  if (scannedUntilMs !== undefined)
    return html`Searched back to ${time(scannedUntilMs, nowMs)}; older ones may match too.`
  if (isShort) return html`Older ones may match too.`
  return nextCursor === undefined ? html`There are no older ones.` : NOTHING
}

function empty({ words, page, pageSize, fewer, cursor, visit }: Found): Html {
  const { nextCursor, scannedUntilMs } = page
  if (nextCursor !== undefined)
    return html`<div class="card pad stack"><p>No event matches so far. ${searched(page, page.items.length < pageSize, visit)}</p><p><a class="btn go" rel="next" href="${own(listUrl(words, nextCursor))}">Search on</a></p></div>`
  const end = scannedUntilMs === undefined ? NOTHING : html` Searched back to ${time(scannedUntilMs, visit.nowMs)}.`
  if (cursor !== undefined)
    return html`<div class="card pad stack"><p>No older event matches.${end}</p><p><a class="btn" href="${own(listUrl(words))}">Newest</a></p></div>`
  if (words.length === 0)
    return html`<div class="card pad stack"><p>No event has come yet.</p><p class="muted">The pages of the <a href="/console/sources">sources</a> say where a provider sends its webhooks.</p></div>`
  return html`<div class="card pad stack"><p>No event matches.${end}</p>${
    fewer.length === 0
      ? html`<p class="muted">None does with one word less, either.</p>`
      : html`<ul class="fewer">${fewer.map(without)}</ul>`
  }</div>`
}

const without = ({ without: word, words, count }: Fewer): Html =>
  html`<li>Without <code>${show(word.text, 80)}</code> ${
    count === undefined
      ? html`<a href="${own(listUrl(words))}">search again</a>`
      : html`there ${own(count.count === 1 && !count.more ? 'is' : 'are')} <a href="${own(listUrl(words))}">${own(capped(count))}</a>`
  }</li>`
