import { type Html, html, NOTHING, own } from './html.ts'

interface Again {
  /** The part, under `/console/part`. */
  readonly path: string
  /** The id of the element that holds the part; the answer has this element in it again. */
  readonly into: string
  readonly seconds: number
  readonly nowMs: number
  /** The id of an element that must not change under the pointer or the focus: meanwhile nothing is asked. */
  readonly steady?: string
}

/**
 * Has a page ask for a part again, so many seconds after the last answer. Its id is a new one each time: an element that was there
 * before would not ask. The script of the console holds it, and goes on after a request that failed.
 */
export function again({ path, into, seconds, nowMs, steady }: Again): Html {
  const trigger = `load delay:${seconds}s, again`
  return html`<i id="again-${nowMs}" hidden data-again="${own(steady ?? '')}" hx-get="${own(path)}" hx-trigger="${own(trigger)}" hx-target="#${own(into)}" hx-swap="innerMorph"></i>`
}

/** After the last answer: once more, when the numbers beside the sections have followed. `query`: of the request for the part. */
export const onceMore = ({ path, ...rest }: Omit<Again, 'seconds'>, query: URLSearchParams): Html =>
  query.has('last')
    ? NOTHING
    : again({ ...rest, path: `${path}${path.includes('?') ? '&' : '?'}last=1`, seconds: LAST_SECONDS })

/** They are some seconds old at most. */
const LAST_SECONDS = 5

/** Says that the page follows what happens; the script says there why it does not. */
export const live = (words: string): Html => html`<span class="live"><i></i><span>${own(words)}</span></span>`
