import type { DeliveryState, DeliverySummary } from '../../../domain/delivery.ts'
import { between, type Html, html, own } from '../html/html.ts'
import { type MarkName, mark } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { time, whole } from '../html/words.ts'
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

/** Those that need a person first. */
const WORST_FIRST: readonly DeliveryState[] = ['dead', 'pending', 'running', 'discarded', 'succeeded']

export const worstFirst = <Delivery extends Pick<DeliverySummary, 'state' | 'lastError'>>(
  deliveries: readonly Delivery[],
): readonly Delivery[] => {
  const rankOf = ({ state, lastError }: Delivery): number =>
    2 * WORST_FIRST.indexOf(state) + (lastError === undefined ? 1 : 0)
  return deliveries.toSorted((one, other) => rankOf(one) - rankOf(other))
}

/** `3 more dead, 6 succeeded`; `more` stands after the first number. */
export const countedByState = (deliveries: readonly Pick<DeliverySummary, 'state'>[], more = ''): string =>
  WORST_FIRST.flatMap((state) => {
    const count = deliveries.filter((each) => each.state === state).length
    return count === 0 ? [] : [{ state, count }]
  })
    .map(({ state, count }, at) => `${whole(count)}${at === 0 ? more : ''} ${state}`)
    .join(', ')

/** Deliveries of one event that are named; the others are counted. */
const MAX_NAMED = 3

/** `billing dead, runs again · ledger succeeded, stays as it is`; `runs` undefined: that is not known before it is routed. */
export function deliveriesInWords(
  deliveries: readonly DeliverySummary[],
  runs?: (delivery: DeliverySummary) => boolean,
): Html {
  if (deliveries.length === 0) return html`<span class="muted">no delivery yet</span>`
  const [again = [], others = []] = [true, false].map((isRun) =>
    worstFirst(deliveries.filter((each) => (runs?.(each) ?? false) === isRun)),
  )
  const named = [...again, ...others].slice(0, MAX_NAMED)
  const pieces = named.map(
    (delivery) =>
      html`${mark(delivery.state)} ${show(delivery.handler, 40)} <span class="muted">${own(delivery.state)}${own(runs === undefined ? '' : again.includes(delivery) ? ', runs again' : ', stays as it is')}</span>`,
  )
  const rest = [again.slice(MAX_NAMED), others.slice(Math.max(0, MAX_NAMED - again.length))].flatMap((these, at) => {
    const [run, stay] = these.length === 1 ? ['runs', 'stays as it is'] : ['run', 'stay as they are']
    const fate = runs === undefined ? '' : at === 0 ? `, ${run} again` : `, ${stay}`
    const more = at === 0 || again.length < MAX_NAMED ? ' more' : ''
    return these.length === 0 ? [] : [html`<span class="muted">${own(`${countedByState(these, more)}${fate}`)}</span>`]
  })
  return between([...pieces, ...rest], html` · `)
}

/** One thing that will happen, or that a person should know before. */
export const step = (name: MarkName, text: Html): Html => html`<li>${mark(name)}<span>${text}</span></li>`
