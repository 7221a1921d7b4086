import { fitting } from '../html/budget.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { type MarkName, mark, type Tone } from '../html/marks.ts'
import { counted, time } from '../html/words.ts'

/** Something that happened, or that will. */
export interface Moment {
  /** Stays the same while a page follows what happens. */
  readonly id: string
  /** Undefined: no time is known; it comes last. */
  readonly atMs: number | undefined
  readonly mark: MarkName
  readonly tone?: Tone
  readonly title: Html
  /** It is only made if there is room for it. */
  readonly detail?: () => Html
}

/** In place of moments that cannot be read. */
export const unread = (what: string, words: string): Moment => ({
  id: `t-no-${what}`,
  atMs: undefined,
  mark: 'warning',
  title: html`${own(words)} cannot be read now`,
})

const MAX_BYTES = 24_000

interface MomentListOptions {
  readonly nowMs: number
  readonly precision: 'seconds' | 'milliseconds'
  /** The command that has those for which there is no room. */
  readonly command: string
}

/** Moments in order of time. The first is always shown, and the newest have room first: what there is no room for is left out between. */
export function momentList(moments: readonly Moment[], options: MomentListOptions): Html {
  const [first, ...rest] = moments.toSorted(
    (one, other) => (one.atMs ?? Number.POSITIVE_INFINITY) - (other.atMs ?? Number.POSITIVE_INFINITY) || 0,
  )
  const lines = rest
    .toReversed()
    .values()
    .map((moment) => line(moment, options))
  const taken = fitting(lines, MAX_BYTES).toReversed()
  const left = rest.length - taken.length
  return html`<ol class="line">${first === undefined ? NOTHING : line(first, options)}${when(left > 0, () => html`<li id="m-left"><span></span><span class="dot">${mark('note')}</span><div class="ev"><h3>${own(counted(left, 'step'))} not shown</h3><p><code>${own(options.command)}</code> has all of them</p></div></li>`)}${taken}</ol>`
}

const line = ({ id, atMs, mark: name, tone, title, detail }: Moment, { nowMs, precision }: MomentListOptions): Html =>
  html`<li id="${own(id)}">${atMs === undefined ? html`<span></span>` : time(atMs, nowMs, precision)}<span class="dot">${mark(name, tone)}</span><div class="ev"><h3>${title}</h3>${detail?.() ?? NOTHING}</div></li>`
