import type { EventFilter } from '../../../domain/event-filter.ts'
import type { EventStore } from '../../../domain/event-store.ts'
import { within } from '../../../domain/within.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { show } from '../html/show.ts'
import type { Visit } from '../routes.ts'
import { filterOfWords, wordsIn } from '../search-words.ts'

/** The events beside one in the search by which it was reached; undefined: there is none, or it was not found in time. */
interface Neighbours {
  readonly newer: string | undefined
  readonly older: string | undefined
}

const NONE: Neighbours = { newer: undefined, older: undefined }
/** A page of the search, from its beginning or from where the list was. */
const PAGE_SIZE = 50
/** A search in payloads may take seconds: the page does not wait for it. */
const TIMEOUT_MS = 150

/** The search by which a page was reached, for the links and forms on it; empty: none. A search for everything has no words. */
export function searchOf(query: URLSearchParams | undefined): string {
  const [q, cursor] = [query?.get('q') ?? undefined, query?.get('cursor') || undefined]
  return new URLSearchParams({ ...(q !== undefined && { q }), ...(cursor !== undefined && { cursor }) }).toString()
}

interface Event {
  readonly uid: string
  readonly receivedAtMs: number
}

/** Looks in the page of the search that the event is on, and else among the events that came before it. Two reads at most. */
export async function neighboursOf(store: EventStore, { uid, receivedAtMs }: Event, visit: Visit): Promise<Neighbours> {
  const { query, nowMs } = visit
  const text = query.get('q')
  if (text === null) return NONE
  const cursor = query.get('cursor') ?? undefined
  // Words that are not understood lead nowhere; the list says what is wrong with them.
  return (await within(TIMEOUT_MS, find(text))) ?? NONE

  async function find(words: string): Promise<Neighbours> {
    const filter = filterOfWords(wordsIn(words), nowMs)
    const page = await store.events(filter, { limit: PAGE_SIZE, ...(cursor !== undefined && { cursor }) })
    const at = page.items.findIndex((item) => item.uid === uid)
    const newer = page.items[at - 1]?.uid
    if (at >= 0 && at + 1 < page.items.length) return { newer, older: page.items[at + 1]?.uid }
    if (at < 0) return { newer: undefined, older: await firstBefore(filter) }
    if (page.nextCursor === undefined) return { newer, older: undefined }
    const next = await store.events(filter, { limit: 1, cursor: page.nextCursor })
    return { newer, older: next.items[0]?.uid }
  }

  async function firstBefore(filter: EventFilter): Promise<string | undefined> {
    const untilMs = Math.min(filter.untilMs ?? Number.POSITIVE_INFINITY, receivedAtMs + 1)
    const { items } = await store.events({ ...filter, untilMs }, { limit: 10 })
    return items[items.findIndex((item) => item.uid === uid) + 1]?.uid
  }
}

/** Where the page stands: the search that it was reached by, and the way to the events beside it. */
export function crumb({ query }: Visit, { newer, older }: Neighbours): Html {
  const search = searchOf(query)
  const text = query.get('q') ?? ''
  const list = search === '' ? '/console/events' : `/console/events?${search}`
  const words = text === '' ? html`Events` : html`Events: ${show(text, 80)}`
  const link = (uid: string | undefined, rel: 'prev' | 'next', title: string): Html =>
    uid === undefined
      ? NOTHING
      : html`<a rel="${own(rel)}" href="/console/events/${own(uid)}?${own(search)}">${own(title)}</a>`
  return html`<p class="crumb bar spread"><a href="${own(list)}">${words}</a><span class="bar">${link(newer, 'prev', 'Newer')}${link(older, 'next', 'Older')}</span></p>`
}
