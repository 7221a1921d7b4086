import { again } from './again.ts'
import { type Html, html, own } from './html.ts'

const SECONDS = 5

/** What a part says beside its title: see `live`. */
export const LIVE = `Live, every ${SECONDS} s`

interface LivePart {
  /** Of the element, unique in its page. */
  readonly id: string
  /** Where the part is asked for again: a path under `/console/part`. */
  readonly path: string
  readonly nowMs: number
  /** `live(LIVE)` is in the first one of a page. */
  readonly content: Html
}

/** A part of a page that asks for itself again, and is held while the pointer or the focus is in it. */
export const livePart = (part: LivePart): Html =>
  html`<div class="sheet" id="${own(part.id)}">${livePartAgain(part)}</div>`

/** What stands in it: the answer to the next request. */
export const livePartAgain = ({ id, path, nowMs, content }: LivePart): Html =>
  html`${content}${again({ path, into: id, seconds: SECONDS, nowMs, steady: id })}`
