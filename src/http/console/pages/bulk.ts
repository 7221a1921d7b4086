import type { DeadFilter } from '../../../domain/dead-letters.ts'
import { HoldfastError } from '../../../domain/errors.ts'
import type { ReplayFilter } from '../../../domain/replay-jobs.ts'
import type { ReplayOrder } from '../../../domain/replay-service.ts'
import { askedBy, inWords, noteChange } from '../../ops/audit.ts'
import { discardAll } from '../../ops/dead.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField, type Page } from '../html/layout.ts'
import { mark } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { capped, counted, duration, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { filterOfWords, wordsIn } from '../search-words.ts'

/** Which events or dead letters a person means: the words of the search, and a handler or cause. */
interface Meant {
  readonly q?: string
  readonly handler?: string
  readonly cause?: string
  readonly probe?: string
}

const NAMES = ['q', 'handler', 'cause'] as const
const DEFAULT_PER_SECOND = 50
const MAX_PER_SECOND = 1_000

/** The page that asks before it is done. */
export const bulkUrl = (what: 'replay' | 'discard', meant: Meant): string =>
  `/console/${what}?${new URLSearchParams(Object.entries(meant)).toString()}`

export function registerBulk(routes: ConsoleRoutes, { replays, store }: ConsolePorts): void {
  routes.page('/replay', async (visit): Promise<Page> => {
    const order = orderOf((name) => visit.query.get(name) ?? undefined, visit)
    const { matched, more, sample } = await replays.dryRun(order)
    const rows = sample.map(({ uid, type, receivedAtMs, id }) => ({ uid, type, atMs: receivedAtMs, text: id }))
    return { section: 'replays', title: 'Replay', content: askReplay(visit, { count: matched, more, rows }) }
  })

  routes.form('/replay', 'replay.create', async (sent) => {
    const { request, field } = sent
    const perSecond = Number(field('per_second'))
    if (!Number.isInteger(perSecond) || perSecond < 1 || perSecond > MAX_PER_SECOND)
      throw new HoldfastError('invalid_request', `at most 1 to ${MAX_PER_SECOND} a second`)
    const order = { ...orderOf(field, sent), perSecond, by: `${askedBy(request)} from ${request.ip}` }
    noteChange(request, { target: inWords(order.filter) })
    const { id, matched } = await replays.create(order)
    noteChange(request, { target: `${id} ${inWords(order.filter)}`, count: matched })
    return `/console/replays/${id}`
  })

  routes.page('/discard', async (visit): Promise<Page> => {
    const { count, more, sample } = await store.matchDead(
      deadFilterOf((name) => visit.query.get(name) ?? undefined, visit),
      5,
    )
    const rows = sample.map(({ eventUid, type, dueAtMs, handler }) => ({
      uid: eventUid,
      type,
      atMs: dueAtMs,
      text: handler,
    }))
    return { section: 'dead', title: 'Discard', content: askDiscard(visit, { count, more, rows }) }
  })

  routes.form('/discard', 'delivery.discard', async (sent) => {
    const filter = deadFilterOf(sent.field, sent)
    const target = inWords(filter) || 'all'
    noteChange(sent.request, { target })
    await discardAll(store, filter, (count) => noteChange(sent.request, { target, count }))
    return '/console/dead'
  })
}

type Field = (name: string) => string | undefined

/** What a person means, and nothing that comes after the moment at which it was counted. */
function filterOf(field: Field, { nowMs }: Visit) {
  const { outcome, ...filter } = filterOfWords(wordsIn(field('q') ?? ''), nowMs)
  const untilMs = Math.min(filter.untilMs ?? Number.POSITIVE_INFINITY, Number(field('until') ?? nowMs))
  return { outcome, filter: { ...filter, untilMs } }
}

function orderOf(field: Field, visit: Visit): ReplayOrder {
  const { outcome, filter } = filterOf(field, visit)
  const handler = field('handler')
  const cause = field('cause')
  const whole: ReplayFilter = {
    ...filter,
    ...(outcome !== undefined && { outcome }),
    ...(handler !== undefined && { handler }),
    ...(cause !== undefined && { cause }),
    ...(outcome === 'dead' && { delivery: 'dead' }),
  }
  return { filter: whole, all: true, probe: field('probe') === 'on', ...(handler !== undefined && { handler }) }
}

function deadFilterOf(field: Field, visit: Visit): DeadFilter {
  const { contains, match, ...filter } = filterOf(field, visit).filter
  if (contains !== undefined || match !== undefined)
    throw new HoldfastError(
      'invalid_request',
      'dead letters are discarded by source, type, handler or cause, and not by what they contain',
    )
  const [handler, cause] = [field('handler'), field('cause')]
  return { ...filter, ...(handler !== undefined && { handler }), ...(cause !== undefined && { cause }) }
}

interface Matched {
  readonly count: number
  readonly more: boolean
  readonly rows: readonly {
    readonly uid: string
    readonly type: string
    readonly atMs: number
    readonly text: string
  }[]
}

/** The filter again, so that what is done is what was shown. */
const meantFields = ({ query, frame, nowMs }: Visit): Html =>
  html`${csrfField(frame)}${NAMES.flatMap((name) => {
    const value = query.get(name)
    return value === null ? [] : [html`<input type="hidden" name="${own(name)}" value="${own(value)}">`]
  })}<input type="hidden" name="until" value="${nowMs}">`

function askReplay(visit: Visit, { count, more, rows }: Matched): Html {
  const { query, mayChange } = visit
  const isProbe = query.get('probe') === 'on'
  const handler = query.get('handler')
  const n = capped({ count, more })
  const what = query.get('q')?.includes('outcome:dead') === true ? 'dead letter' : 'event'
  if (count === 0)
    return html`<div class="head"><h1>Nothing to replay</h1></div><p>No ${own(what)} matches any more.</p>${back()}`
  return html`<div class="head"><div><h1>Replay ${own(`${n} ${what}${count === 1 ? '' : 's'}`)}${handler === null ? NOTHING : html` to ${show(handler, 60)}`}?</h1></div></div>
<form class="ask card pad stack" method="post" action="/console/replay">${meantFields(visit)}
<ul class="steps">
<li>${mark('replayed')}<span>${handler === null ? html`Runs every handler that wants the event.` : html`Runs <b>${show(handler, 60)}</b> only. What has succeeded is not run again.`}</span></li>
<li>${mark('note')}<span>${isProbe ? html`One is replayed first, as a probe. The others follow only if it succeeds.` : html`All are replayed, the oldest first. What came after this page was made is left out.`}</span></li>
</ul>
${sampleOf(rows, visit)}
${when(isProbe, () => html`<input type="hidden" name="probe" value="on">`)}
<div class="bar spread"><div class="bar"><label class="field">At most <input type="number" name="per_second" value="${DEFAULT_PER_SECOND}" min="1" max="${MAX_PER_SECOND}" required> a second</label><span class="small muted">about ${own(duration((1_000 * count) / DEFAULT_PER_SECOND))}</span></div>
<div class="bar">${cancel()}${when(mayChange, () => html`<button class="btn go" type="submit">${own(isProbe ? 'Probe with one' : `Replay ${n}`)}</button>`)}</div></div></form>`
}

function askDiscard(visit: Visit, { count, more, rows }: Matched): Html {
  const n = capped({ count, more })
  if (count === 0)
    return html`<div class="head"><h1>Nothing to discard</h1></div><p>No dead letter matches any more.</p>${back()}`
  return html`<div class="head"><h1>Discard ${own(`${n} dead letter${count === 1 ? '' : 's'}`)}?</h1></div>
<form class="ask card pad stack" method="post" action="/console/discard">${meantFields(visit)}
<ul class="steps"><li>${mark('discarded')}<span>They do not count as dead any more. Their events stay, and can still be replayed.</span></li></ul>
${sampleOf(rows, visit)}
<div class="bar">${cancel()}${when(visit.mayChange, () => html`<button class="btn stop" type="submit">Discard ${own(n)}</button>`)}</div></form>`
}

const back = (): Html => html`<p><a class="btn" href="/console/dead">Dead letters</a></p>`
const cancel = (): Html => html`<a class="btn" href="/console/dead">Cancel</a>`

const sampleOf = (rows: Matched['rows'], { nowMs }: Visit): Html =>
  html`<div class="scroll" tabindex="0" role="region" aria-label="Some of them"><table><caption class="small muted">${own(counted(rows.length, 'of them', 'of them'))}</caption><tbody>${rows.map(
    ({ uid, type, atMs, text }) =>
      html`<tr><td class="nowrap">${time(atMs, nowMs)}</td><td><a class="row" href="/console/events/${own(uid)}">${show(type, 80)}</a></td><td class="mono muted">${show(text, 80)}</td></tr>`,
  )}</tbody></table></div>`
