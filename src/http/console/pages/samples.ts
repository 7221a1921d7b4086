import type { DeliverySummary } from '../../../domain/delivery.ts'
import { type Html, html, own } from '../html/html.ts'
import { type MarkName, mark } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { time } from '../html/words.ts'
import type { Visit } from '../routes.ts'

/** An event that a page shows before something happens to it, or after. */
export interface Sample {
  readonly uid: string
  readonly type: string
  readonly atMs: number
  readonly says: Html
}

/** A few events, in a table without a head. */
export const samples = (caption: string, rows: readonly Sample[], { nowMs }: Visit): Html =>
  html`<div class="scroll" tabindex="0" role="region" aria-label="${own(caption)}"><table class="few stackable" role="table"><caption class="small muted">${own(caption)}</caption><tbody role="rowgroup">${rows.map(
    ({ uid, type, atMs, says }) =>
      html`<tr role="row"><td role="cell" class="nowrap">${time(atMs, nowMs)}</td><td role="cell"><a class="row" href="/console/events/${own(uid)}">${show(type, 80)}</a></td><td role="cell" class="small wide">${says}</td></tr>`,
  )}</tbody></table></div>`

/** `billing dead, runs again · ledger succeeded, stays`; `runs` undefined: that is not known before it is routed. */
export const deliveriesInWords = (
  deliveries: readonly DeliverySummary[],
  runs?: (delivery: DeliverySummary) => boolean,
): Html =>
  deliveries.length === 0
    ? html`<span class="muted">no delivery yet</span>`
    : html`${deliveries.map(
        (delivery, at) =>
          html`${own(at === 0 ? '' : ' · ')}${mark(delivery.state)} ${show(delivery.handler, 40)} <span class="muted">${own(delivery.state)}${own(runs === undefined ? '' : runs(delivery) ? ', runs again' : ', stays as it is')}</span>`,
      )}`

/** One thing that will happen, or that a person should know before. */
export const step = (name: MarkName, text: Html): Html => html`<li>${mark(name)}<span>${text}</span></li>`
