import type { DeliverySummary } from '../../../domain/delivery.ts'
import { HoldfastError, isHoldfastError } from '../../../domain/errors.ts'
import type { OutcomeCounts } from '../../../domain/event-facets.ts'
import type { EventFilter } from '../../../domain/event-filter.ts'
import { EVENT_OUTCOMES, type EventOutcome } from '../../../domain/outcome.ts'
import { within } from '../../../domain/within.ts'
import { type Html, html, NOTHING, own, rendered, when } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import { mark } from '../html/marks.ts'
import { plain, show } from '../html/show.ts'
import { capped, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { Recent } from '../recent.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { filterOfWords, queryOf, type SearchWord, wordsIn } from '../search-words.ts'
import { type Found, list, listUrl, wordOfOutcome } from './event-list.ts'
import { fewerWords, sumOf } from './fewer-words.ts'
import { registerSuggestions } from './suggest.ts'

const PAGE_SIZE = 30
/** What is not counted by then is left out of a page. */
const PAGE_MS = 200
/** How old the counts of a search may be: as one goes from outcome to outcome, and in a page that follows events. */
const COUNTS_MS = 2_000
const LIVE_COUNTS_MS = 10_000
/** A page that follows events can wait for its counts. */
const LIVE_WAIT_MS = 5_000
/** How old a list may be that a page fetches again, and how many different ones are kept. */
const LIST_MS = 1_000
const MAX_LISTS = 64

export function registerEventList(routes: ConsoleRoutes, ports: ConsolePorts): void {
  const { store, pauses } = ports
  const isPaused = ({ handler, source }: DeliverySummary): boolean =>
    (pauses.find('handler', handler) ?? pauses.find('source', source)) !== undefined
  const lists = new Recent<Html>(LIST_MS, MAX_LISTS)
  const counts = new Recent<OutcomeCounts>(COUNTS_MS, MAX_LISTS)
  const liveCounts = new Recent<OutcomeCounts>(LIVE_COUNTS_MS, MAX_LISTS)

  async function find(visit: Visit, endsAtMs = performance.now() + PAGE_MS): Promise<Found> {
    const { query, nowMs } = visit
    const words = wordsIn(query.get('q') ?? '')
    const filter = filterOfWords(words, nowMs)
    const cursor = query.get('cursor') || undefined
    const page = await store.events(filter, { limit: PAGE_SIZE, ...(cursor !== undefined && { cursor }) })
    const isEmpty = page.items.length === 0 && page.nextCursor === undefined && cursor === undefined
    const [deliveries, fewer] = await Promise.all([
      store.facets.deliveriesOf(page.items.map(({ uid }) => uid)),
      isEmpty ? fewerWords(store.facets, words, nowMs, endsAtMs) : [],
    ])
    return { visit, words, filter, cursor, page, pageSize: PAGE_SIZE, deliveries, isPaused, fewer }
  }

  /** Undefined: it cannot be known, or not in the time of a page. `kept`: where older counts do. */
  async function countsOf(
    { words, filter }: Pick<Found, 'words' | 'filter'>,
    kept: Recent<OutcomeCounts>,
    endsAtMs: number,
  ): Promise<OutcomeCounts | undefined> {
    const { outcome: _, ...others } = filter
    const leftMs = endsAtMs - performance.now()
    if (!isCounted(filter) || leftMs <= 0) return undefined
    const key = queryOf(words.filter(({ field }) => field !== 'outcome'))
    return within(
      leftMs,
      kept.of(key, () => store.facets.countByOutcome(others)),
    )
  }

  routes.page('/events', async (visit): Promise<Page> => {
    const text = visit.query.get('q') ?? ''
    try {
      const endsAtMs = performance.now() + PAGE_MS
      const found = await find(visit, endsAtMs)
      return {
        section: 'events',
        title: text === '' ? 'Events' : `${text} · Events`,
        // A count takes longer than all the rest, which must not wait for it.
        content: events(found, text, await countsOf(found, counts, endsAtMs)),
      }
    } catch (error) {
      if (!isHoldfastError(error, 'invalid_request')) throw error
      return { section: 'events', title: 'Events', status: 400, content: notUnderstood(text, error.message) }
    }
  })

  routes.part('/events', (visit) =>
    lists.of(`${visit.mayChange} ${visit.query.toString()}`, async () => rendered(list(await find(visit)))),
  )
  routes.part('/events/outcomes', async ({ query, nowMs }) => {
    const words = wordsIn(query.get('q') ?? '')
    const asked = { words, filter: filterOfWords(words, nowMs) }
    const found = await countsOf(asked, liveCounts, performance.now() + LIVE_WAIT_MS)
    // The page keeps those that it shows.
    if (found === undefined && isCounted(asked.filter))
      throw new HoldfastError('unavailable', 'the events cannot be counted now')
    return outcomes(asked, found)
  })
  registerSuggestions(routes, ports)
}

const heading = (): Html => html`<div class="head"><h1>Events</h1></div>`

const notUnderstood = (text: string, fault: string): Html =>
  html`${heading()}<section class="find" aria-label="Find">${search(text, fault)}</section>`

const events = (found: Found, text: string, counts: OutcomeCounts | undefined): Html =>
  html`<div class="head"><h1>Events</h1>${isLive(found) ? live(found) : refresh(found)}</div>
<section class="find" aria-label="Find">${search(text)}${chips(found)}</section>
${tabs(found, text, counts)}
<div id="list"${when(isLive(found), () => follows(text))}>${list(found)}</div>`

/** Only the newest events, up to now, are followed. */
const isLive = ({ cursor, filter }: Found): boolean => cursor === undefined && filter.untilMs === undefined

/** What is searched in payloads is not counted. */
const isCounted = ({ contains, match }: EventFilter): boolean => contains === undefined && match === undefined

const refresh = ({ words, cursor }: Found): Html =>
  html`<a class="btn" href="${own(listUrl(words, cursor))}">Refresh</a>`

/** The script shows what is hidden here, and says when the list is held. The stream only says that there is something new. */
const live = (found: Found): Html =>
  html`<noscript>${refresh(found)}</noscript><div class="bar" id="live" hidden hx-sse:connect="/console/live" hx-sse:close="over" hx-trigger="follow" hx-swap="none"><span class="live"><i></i><span data-state>live</span></span><button class="btn plain" type="button" data-show hidden></button><button class="btn" type="button" data-key="hold" aria-pressed="false">Hold</button></div>`

function follows(text: string): Html {
  const url = `/console/part/events${text === '' ? '' : `?q=${encodeURIComponent(text)}`}`
  return html` hx-get="${own(url)}" hx-trigger="changed from:#live" hx-swap="innerMorph"`
}

const search = (
  text: string,
  fault?: string,
): Html => html`<form class="q" method="get" action="/console/events" role="search">
<label class="hide" for="q">Find events</label>
<input id="q" name="q" value="${own(text)}" type="search" spellcheck="false" autocomplete="off" autocapitalize="off" list="endings" placeholder="source:stripe outcome:dead data.object.customer:cus_1"${when(fault !== undefined, () => INVALID)} aria-describedby="q-help" hx-get="/console/part/suggest" hx-trigger="focus once, input changed delay:150ms" hx-target="#endings" hx-swap="innerHTML">
<datalist id="endings"></datalist>
<button class="btn go" type="submit">Search</button>
</form>
<p class="small muted" id="q-help">${fault === undefined ? HELP : html`<span class="bad" role="alert">${show(fault)}</span>`}</p>`

const INVALID = html` aria-invalid="true"`
const HELP = html`Words are looked for in body and headers. Or <code>source:</code> <code>type:</code> <code>outcome:</code> <code>status:</code> <code>task:</code> <code>id:</code> <code>since:2h</code> <code>until:</code>, or any <code>path:value</code> of the payload.`

const chips = ({ words, filter, visit }: Found): Html =>
  words.length === 0
    ? NOTHING
    : html`<ul class="bar chips" aria-label="What is looked for">${words.map(
        (word) =>
          html`<li class="chip">${meaningOf(word, filter, visit)}<a href="${own(listUrl(words.filter((each) => each !== word)))}"><span aria-hidden="true">×</span><span class="hide">Remove ${plain(word.text, 80)}</span></a></li>`,
      )}<li><a class="btn plain" href="/console/events">Clear</a></li></ul>`

/** What is understood of a word. */
function meaningOf({ field, text, value }: SearchWord, { sinceMs, untilMs }: EventFilter, { nowMs }: Visit): Html {
  if (field === 'text') return html`contains ${show(value, 80)}`
  if (field === 'since' && sinceMs !== undefined) return html`since ${time(sinceMs, nowMs)}`
  if (field === 'until' && untilMs !== undefined) return html`until ${time(untilMs, nowMs)}`
  return show(text, 80)
}

const tabs = (found: Found, text: string, counts: OutcomeCounts | undefined): Html =>
  html`<nav class="tabs" id="outcomes" aria-label="Outcome"${when(isLive(found) && isCounted(found.filter), () => countsFollow(text))}>${outcomes(found, counts)}</nav>`

function countsFollow(text: string): Html {
  const url = `/console/part/events/outcomes?q=${encodeURIComponent(text)}`
  return html` hx-get="${own(url)}" hx-trigger="changed from:#live throttle:15s" hx-swap="innerMorph"`
}

function outcomes({ words, filter }: Pick<Found, 'words' | 'filter'>, counts: OutcomeCounts | undefined): Html {
  const others = words.filter(({ field }) => field !== 'outcome')
  const tab = (outcome: EventOutcome | undefined): Html => {
    const url = listUrl(
      outcome === undefined ? others : [...others, { text: `outcome:${outcome}`, field: 'outcome', value: outcome }],
    )
    const found = counts && (outcome === undefined ? sumOf(counts) : counts[outcome])
    const count = found === undefined ? NOTHING : html` <span class="n">${own(capped(found))}</span>`
    const name = outcome === undefined ? html`all` : html`${mark(outcome)}${own(wordOfOutcome(outcome))}`
    return html`<a href="${own(url)}"${when(filter.outcome === outcome, () => CURRENT)}>${name}${count}</a>`
  }
  return html`${[undefined, ...EVENT_OUTCOMES].map(tab)}`
}

const CURRENT = html` aria-current="page"`
