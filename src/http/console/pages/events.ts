import { isHoldfastError } from '../../../domain/errors.ts'
import type { EventSummary } from '../../../domain/event.ts'
import type { OutcomeCounts } from '../../../domain/event-facets.ts'
import type { EventFilter } from '../../../domain/event-filter.ts'
import type { EventDetail } from '../../../domain/event-store.ts'
import { EVENT_OUTCOMES, type EventOutcome } from '../../../domain/outcome.ts'
import type { SearchPage } from '../../../domain/page.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import { mark, state } from '../html/marks.ts'
import { plain, show } from '../html/show.ts'
import { pager, table } from '../html/table.ts'
import { capped, counted, duration, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { filterOfWords, type SearchWord, wordsIn } from '../search-words.ts'

const PAGE_SIZE = 30

export function registerEventList(routes: ConsoleRoutes, { store }: ConsolePorts): void {
  async function read(visit: Visit): Promise<Found> {
    const { query, nowMs } = visit
    const text = query.get('q') ?? ''
    const words = wordsIn(text)
    const filter = filterOfWords(words, nowMs)
    const cursor = query.get('cursor')
    const [page, counts] = await Promise.all([
      store.events(filter, { limit: PAGE_SIZE, ...(cursor !== null && { cursor }) }),
      countsOf(filter),
    ])
    const details = await Promise.all(page.items.map(({ uid }) => store.event(uid)))
    return { visit, text, words, filter, page, counts, details: new Map(details.map((each) => [each?.uid, each])) }
  }

  /** Undefined: what a payload has cannot be counted in the time of a page. */
  const countsOf = async ({ outcome: _, ...filter }: EventFilter): Promise<OutcomeCounts | undefined> =>
    filter.contains === undefined && filter.match === undefined ? store.facets.countByOutcome(filter) : undefined

  routes.page('/events', async (visit): Promise<Page> => {
    try {
      const found = await read(visit)
      return {
        section: 'events',
        title: found.text === '' ? 'Events' : `${found.text} · Events`,
        content: events(found),
      }
    } catch (error) {
      if (!isHoldfastError(error, 'invalid_request')) throw error
      return {
        section: 'events',
        title: 'Events',
        content: html`${heading()}${search(visit.query.get('q') ?? '', error.message)}`,
      }
    }
  })
  routes.part('/events', async (visit) => list(await read(visit)))
}

interface Found {
  readonly visit: Visit
  readonly text: string
  readonly words: readonly SearchWord[]
  readonly filter: EventFilter
  readonly page: SearchPage<EventSummary>
  readonly counts: OutcomeCounts | undefined
  readonly details: ReadonlyMap<string | undefined, EventDetail | undefined>
}

const heading = (): Html => html`<div class="head"><h1>Events</h1></div>`

const events = (found: Found): Html => html`${heading()}
<section class="find" aria-label="Find">${search(found.text)}${chips(found)}</section>
${tabs(found)}
<div id="list">${list(found)}</div>`

const search = (
  text: string,
  fault?: string,
): Html => html`<form class="q" method="get" action="/console/events" role="search">
<label class="hide" for="q">Find events</label>
<input id="q" name="q" value="${own(text)}" type="search" spellcheck="false" autocomplete="off" placeholder="source:stripe outcome:dead data.object.customer:cus_1"${when(fault !== undefined, () => INVALID)} aria-describedby="q-help">
<button class="btn go" type="submit">Search</button>
</form>
<p class="small muted" id="q-help">${fault === undefined ? HELP : html`<span class="bad" role="alert">${show(fault)}</span>`}</p>`

const INVALID = html` aria-invalid="true"`
const HELP = html`A word is looked for in body and headers. Or <code>source:</code> <code>type:</code> <code>outcome:</code> <code>status:</code> <code>task:</code> <code>id:</code> <code>since:2h</code>, or any <code>path:value</code>.`

/** The URL of the list with these words. */
const listUrl = (words: readonly SearchWord[]): string => {
  const text = words.map((word) => word.text).join(' ')
  return text === '' ? '/console/events' : `/console/events?q=${encodeURIComponent(text)}`
}

const chips = ({ words }: Found): Html =>
  words.length === 0
    ? NOTHING
    : html`<ul class="bar chips">${words.map(
        (word) =>
          html`<li class="chip">${show(word.text, 80)}<a href="${own(listUrl(words.filter((each) => each !== word)))}"><span aria-hidden="true">×</span><span class="hide">Remove ${plain(word.text, 80)}</span></a></li>`,
      )}<li><a class="btn plain" href="/console/events">Clear</a></li></ul>`

function tabs({ words, filter, counts }: Found): Html {
  const others = words.filter(({ field }) => field !== 'outcome')
  const tab = (outcome: EventOutcome | undefined): Html => {
    const url = listUrl(
      outcome === undefined ? others : [...others, { text: `outcome:${outcome}`, field: 'outcome', value: outcome }],
    )
    const count =
      counts === undefined || outcome === undefined
        ? NOTHING
        : html` <span class="n">${own(capped(counts[outcome]))}</span>`
    const name = outcome === undefined ? html`all` : html`${mark(outcome)}${own(wordOf(outcome))}`
    return html`<a href="${own(url)}"${when(filter.outcome === outcome, () => CURRENT)}>${name}${count}</a>`
  }
  return html`<nav class="tabs" aria-label="Outcome">${[undefined, ...EVENT_OUTCOMES].map(tab)}</nav>`
}

const CURRENT = html` aria-current="page"`

const wordOf = (outcome: EventOutcome): string => (outcome === 'none' ? 'no handler' : outcome)

function list(found: Found): Html {
  const { page, filter, visit, text, details } = found
  if (page.items.length === 0 && page.scannedUntilMs === undefined) return empty(found)
  const urlOf = (uid: string): string => `/console/events/${uid}${text === '' ? '' : `?q=${encodeURIComponent(text)}`}`
  return table({
    caption: 'Events, newest first',
    rows: page.items,
    idOf: ({ uid }) => `e-${uid}`,
    columns: [
      {
        title: 'Received, UTC',
        kind: 'short',
        cell: ({ receivedAtMs }) => time(receivedAtMs, visit.nowMs, 'milliseconds'),
      },
      { title: 'Outcome', onPhone: 'end', cell: ({ outcome = 'none' }) => state(outcome, own(wordOf(outcome))) },
      {
        title: 'Type',
        kind: 'name',
        onPhone: 'wide',
        cell: ({ uid, type }) => html`<a class="row" href="${own(urlOf(uid))}">${show(type, 80)}</a>`,
      },
      {
        title: 'Deliveries',
        kind: 'cut',
        onPhone: 'wide',
        cell: (event) => deliveriesOf(event, details.get(event.uid), visit.nowMs),
      },
      ...(filter.source === undefined
        ? [{ title: 'Source', onPhone: 'gone', cell: ({ source }: EventSummary) => show(source, 40) } as const]
        : []),
      { title: 'Uid', kind: 'mono', onPhone: 'gone', cell: ({ uid }) => html`…${own(uid.slice(-6))}` },
    ],
    foot: foot(found),
  })
}

/** What became of it, in a line: an error first. */
function deliveriesOf({ status, reasons }: EventSummary, detail: EventDetail | undefined, nowMs: number): Html {
  const deliveries = detail?.deliveries ?? []
  if (deliveries.length === 0)
    return html`<span class="muted">${own(status)}${reasons[0] === undefined ? NOTHING : html`: ${show(reasons[0], 120)}`}</span>`
  const failed = deliveries.filter(({ lastError, state: now }) => lastError !== undefined && now !== 'succeeded')
  const rest = deliveries.filter((each) => !failed.includes(each))
  const pieces = [
    ...failed.map(
      ({ lastError = '', handler, state: now, dueAtMs }) =>
        html`${show(lastError, 120)} <span class="muted">· ${show(handler, 40)}${own(now === 'pending' ? ` tries again in ${duration(Math.max(0, dueAtMs - nowMs))}` : '')}</span>`,
    ),
    ...rest.map(
      ({ handler, state: now, history }) =>
        html`<span class="muted">${show(handler, 40)} ${own(now === 'succeeded' ? duration(history.at(-1)?.durationMs ?? 0) : now)}</span>`,
    ),
  ]
  return html`${pieces.map((piece, at) => (at === 0 ? piece : html`<span class="muted"> · </span>${piece}`))}`
}

function foot({ page, words, visit }: Found): Html {
  const { nextCursor, scannedUntilMs, items } = page
  const older = `${listUrl(words)}${words.length === 0 ? '?' : '&'}cursor=${encodeURIComponent(nextCursor ?? '')}`
  const searched =
    scannedUntilMs === undefined ? NOTHING : html` Searched back to ${time(scannedUntilMs, visit.nowMs)}.`
  return pager(
    html`${own(counted(items.length, 'event'))}, newest first.${searched}`,
    nextCursor === undefined ? undefined : older,
  )
}

const empty = ({ words }: Found): Html =>
  html`<div class="card pad"><p>${own(words.length === 0 ? 'No event has come yet.' : 'No event matches.')}</p></div>`
