import { type Html, html, own } from './html.ts'

interface LivePart {
  /** Of the element, unique in its page. */
  readonly id: string
  /** Where the part is asked for again: a path under `/console/part`. */
  readonly url: string
  readonly nowMs: number
  readonly content: Html
}

/** A part of a page that asks for itself again, five seconds after its last answer. */
export const livePart = (part: LivePart): Html =>
  html`<div class="sheet" id="${own(part.id)}">${livePartAgain(part)}</div>`

/** What stands in it: the answer to the next request. The element that asks has a new id each time, without which it would not ask again. */
export const livePartAgain = ({ id, url, nowMs, content }: LivePart): Html =>
  html`${content}<i id="${own(id)}-${nowMs}" hidden hx-get="${own(url)}" hx-trigger="load delay:5s" hx-target="#${own(id)}" hx-swap="innerMorph"></i>`
