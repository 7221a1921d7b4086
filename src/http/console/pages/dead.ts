import type { DeadCause, DeadCauses } from '../../../domain/dead-letters.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { bars } from '../html/plot.ts'
import { show } from '../html/show.ts'
import { capped, counted, duration, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { bulkUrl } from './bulk.ts'

export function registerDeadLetters(routes: ConsoleRoutes, { deadCauses }: ConsolePorts): void {
  const read = async (visit: Visit): Promise<Html> => {
    const handler = visit.query.get('handler') ?? ''
    return deadLetters(visit, await deadCauses(handler === '' ? {} : { handler }), handler)
  }
  routes.page('/dead', async (visit) => ({
    section: 'dead',
    title: 'Dead letters',
    content: html`<div class="sheet" hx-get="/console/part/dead?${own(visit.query.toString())}" hx-trigger="load delay:5s" hx-swap="innerMorph">${await read(visit)}</div>`,
  }))
  routes.part('/dead', read)
}

function deadLetters(visit: Visit, { causes, unnamed }: DeadCauses, handler: string): Html {
  const count = causes.reduce((sum, each) => sum + each.count, 0) + unnamed
  const more = causes.some(({ isCapped }) => isCapped)
  const of = handler === '' ? NOTHING : html` of ${show(handler, 60)}`
  if (count === 0)
    return html`<div class="head"><h1>No dead letters${of}</h1></div><p class="muted">A delivery dies when its handler gives up, or has used all its attempts. It then stands here, and can run again.</p>`
  return html`<div class="head"><div><h1>${own(`${capped({ count, more })} dead ${count === 1 ? 'letter' : 'letters'}, ${counted(causes.length, 'cause')}`)}${of}</h1><p>Deliveries that failed for good or used up their attempts.</p></div>${when(handler !== '', () => html`<a class="btn" href="/console/dead">All handlers</a>`)}</div>
<p class="small muted">Numbers, ids, addresses and quoted values are taken out of an error before it is compared.${when(unnamed > 0, () => html` The causes of ${own(whole(unnamed))} more are not found out yet.`)}</p>
<div class="card">${causes.map((cause) => group(cause, visit))}</div>`
}

function group(cause: DeadCause, { nowMs, mayChange }: Visit): Html {
  const { signature, handler, source, count, isCapped, firstAtMs, lastAtMs, at, hourly, id } = cause
  const n = capped({ count, more: isCapped })
  const filter = { q: 'outcome:dead', handler, cause: id }
  const title = `cause-${id}-${handler}-${source}`
  return html`<article class="group" aria-labelledby="${own(title)}"><div><h2 id="${own(title)}">${error(signature)}</h2>
<p class="meta"><span>handler <b>${show(handler, 60)}</b></span><span>source <b>${show(source, 60)}</b></span><span>first <b>${time(firstAtMs, nowMs)}</b></span><span>last <b>${time(lastAtMs, nowMs)}</b></span>${at === undefined ? NOTHING : html`<span>at <b class="mono">${show(at, 120)}</b></span>`}${when(nowMs - lastAtMs > 3_600_000, () => html`<span>not seen for ${own(duration(nowMs - lastAtMs))}</span>`)}</p></div>
<div class="side">${bars(hourly, `${hourly.reduce((sum, each) => sum + each, 0)} died in the last 24 hours`)}<p class="count">${own(n)}<span class="hide"> dead letters</span></p></div>
<div class="do bar">${when(
    mayChange,
    () =>
      html`<a class="btn" href="${own(bulkUrl('replay', { ...filter, probe: 'on' }))}">Probe with one…</a><a class="btn" href="${own(bulkUrl('replay', filter))}">Replay ${own(count === 1 ? 'it' : `all ${n}`)}…</a><a class="btn" href="${own(bulkUrl('discard', filter))}">Discard…</a>`,
  )}<a class="btn plain" href="/console/deliveries?state=dead&amp;cause=${own(id)}&amp;handler=${own(encodeURIComponent(handler))}">See them</a></div></article>`
}

/** A signature, with what was taken out marked. */
const error = (signature: string): Html =>
  html`${signature.split(/(<[a-z]{1,12}>)/).map((part, at) => (at % 2 === 1 ? html`<span class="gone">${own(part.slice(1, -1))}</span>` : show(part, 400)))}`
