import { hash } from 'node:crypto'
import type { DeadCause, DeadCauses } from '../../../domain/dead-letters.ts'
import { within } from '../../../domain/within.ts'
import { again, live } from '../html/again.ts'
import { fitting } from '../html/budget.ts'
import { between, type Html, html, NOTHING, own, when } from '../html/html.ts'
import { mark } from '../html/marks.ts'
import { bars } from '../html/plot.ts'
import { show } from '../html/show.ts'
import { capped, counted, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { Recent } from '../recent.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { discardedNote } from './bulk-discard.ts'
import { registerDeadList } from './dead-list.ts'
import { views } from './dead-views.ts'
import { holdOf } from './event-story.ts'
import { whyGone } from './gone.ts'
import { bulkUrl } from './meant.ts'
import { endedAtMs, isOf, type Probed, probedBy, probeForm, probePanel, registerProbe } from './probe.ts'
import { runningReplays } from './running-replays.ts'
import { signatureShown } from './signature.ts'
import { trend } from './trend.ts'

/** Groups of a page, and how many bytes they may take together: the next page begins where there is no more room. */
const MAX_GROUPS = 30
const MAX_GROUP_BYTES = 64_000
const MAX_TABS = 12
/** How long a page waits until it asks again: while something is to be seen, and otherwise. */
const BUSY_SECONDS = 1
const IDLE_SECONDS = 5
/** An example of a group is kept as long as the group stays as it is. */
const SAMPLE_MS = 600_000
const MAX_SAMPLES = 500
const RETENTION_MS = 600_000
/** So long after a probe the dead letters are counted for each answer. */
const FRESH_MS = 60_000
/** What the store does not tell within this time is left out. */
const TIMEOUT_MS = 300

export function registerDeadLetters(routes: ConsoleRoutes, ports: ConsolePorts): void {
  const { deadCauses, store, retention } = ports
  const samples = new Recent<string | undefined>(SAMPLE_MS, MAX_SAMPLES)
  const kept = new Recent<number>(RETENTION_MS, 1)

  const running = runningReplays(ports)

  /** The last one that died. */
  const sampleOf = ({ id, handler, source, count, lastAtMs }: DeadCause): Promise<string | undefined> =>
    samples.of(`${id} ${handler} ${source} ${count} ${lastAtMs}`, async () => {
      const { items } = await store.deliveries({ state: 'dead', handler, source, cause: id }, { limit: 1 })
      return items[0]?.eventUid
    })

  const read = async (visit: Visit): Promise<Html> => {
    const handler = visit.query.get('handler') ?? ''
    const probed = await probedBy(visit, ports)
    const [all, jobs, keptDays] = await Promise.all([
      deadCauses(isAfterChange(visit, probed) ? { sinceMs: 0 } : {}),
      running(visit),
      within(
        TIMEOUT_MS,
        kept.of('', async () => (await retention.report()).deadRetentionDays),
      ),
    ])
    const causes = handler === '' ? all.causes : all.causes.filter((each) => each.handler === handler)
    const from = Math.max(0, Math.trunc(Number(visit.query.get('from') ?? 0)) || 0)
    const shown = causes.slice(from, from + MAX_GROUPS)
    const examples = await within(TIMEOUT_MS, Promise.all(shown.map(sampleOf)))
    return deadLetters({ visit, ports, all, causes, shown, from, handler, probed, running: jobs, keptDays, examples })
  }
  routes.page('/dead', async (visit) => ({
    section: 'dead',
    title: 'Dead letters',
    content: html`${discardedNote(visit)}<div class="sheet" id="dead">${await read(visit)}</div>`,
  }))
  routes.part('/dead', (visit) => read(visit))
  registerProbe(routes, ports)
  registerDeadList(routes, ports)
}

/**
 * One who has just changed something sees that, and not what was counted a moment ago: a page that tells how a probe ended is held
 * under the pointer from then on, with the number of those that are left.
 */
const isAfterChange = ({ query, nowMs }: Visit, probed: Probed | undefined): boolean =>
  query.has('discarded') || (probed !== undefined && nowMs - endedAtMs(probed, nowMs) < FRESH_MS)

interface Seen {
  readonly visit: Visit
  readonly ports: ConsolePorts
  readonly all: DeadCauses
  /** Those of the handler by which the page is filtered. */
  readonly causes: readonly DeadCause[]
  readonly shown: readonly DeadCause[]
  readonly from: number
  readonly handler: string
  readonly probed: Probed | undefined
  readonly running: readonly Html[]
  /** 0: for ever; undefined: the store does not tell. */
  readonly keptDays: number | undefined
  readonly examples: readonly (string | undefined)[] | undefined
}

const sumOf = (causes: readonly DeadCause[]): { readonly count: number; readonly more: boolean } => ({
  count: causes.reduce((sum, each) => sum + each.count, 0),
  more: causes.some(({ isCapped }) => isCapped),
})

function deadLetters(seen: Seen): Html {
  const { visit, ports, all, causes, from, handler, probed, running } = seen
  const groups = fitting(groupsOf(seen), MAX_GROUP_BYTES)
  const shown = seen.shown.slice(0, groups.length)
  const { count, more } = sumOf(causes)
  const total = count + (handler === '' ? all.unnamed : 0)
  const of = handler === '' ? NOTHING : html` of ${show(handler, 60)}`
  const heading =
    total === 0
      ? html`No dead letters${of}`
      : html`${own(`${capped({ count: total, more })} dead ${total === 1 ? 'letter' : 'letters'}, ${counted(causes.length, 'cause')}`)}${of}`
  const isInList = probed !== undefined && shown.some((cause) => isOf(probed, cause))
  const isHeld = probed !== undefined && holdOf(probed.group, ports) !== undefined
  const isBusy = (probed?.state === 'waits' && !isHeld) || running.length > 0
  return html`<div class="head"><div><h1>${heading}</h1><p>${about(seen, total)}</p></div>${live('Live')}${asking(visit, isBusy)}</div>
${tabs(seen)}
${between(running, NOTHING)}
${probed === undefined || isInList ? NOTHING : html`<div class="card pad">${probePanel(probed, undefined, visit)}</div>`}
${when(shown.length > 0, () => html`<div class="card" id="groups">${groups}${foot({ ...seen, shown })}</div>`)}
${when(all.unnamed > 0 && from === 0, () => html`<p class="small muted">The causes of ${own(whole(all.unnamed))} more are not found out yet. They are in the <a href="/console/dead/list">list</a>.</p>`)}`
}

function about({ keptDays, handler, all }: Seen, total: number): Html {
  const kept = keptDays === undefined ? '' : keptDays === 0 ? '' : `, in the last ${counted(keptDays, 'day')}`
  if (total > 0) return html`Deliveries that failed for good or used up their attempts${own(kept)}.`
  if (handler !== '' && all.causes.length > 0)
    return html`Other handlers have some: <a href="/console/dead">see all</a>.`
  return html`A delivery dies when its handler gives up, or has used all its attempts. It then stands here and can be replayed. See <a href="/console/replays">what was replayed</a>, and what was <a href="/console/events?q=outcome%3Adiscarded">discarded</a>.`
}

/** The parameters of the page, without what it says once. */
const AGAIN = ['handler', 'from', 'probe', 'run', 'to', 'source', 'cause']

/** What is about to be pressed stays where it is, unless the person waits for something. */
function asking({ query, nowMs }: Visit, isBusy: boolean): Html {
  const same = new URLSearchParams(
    AGAIN.flatMap((name) => {
      const value = query.get(name) ?? ''
      return value === '' ? [] : [[name, value]]
    }),
  )
  return again({
    path: `/console/part/dead?${same.toString()}`,
    into: 'dead',
    seconds: isBusy ? BUSY_SECONDS : IDLE_SECONDS,
    nowMs,
    ...(!isBusy && { steady: 'groups' }),
  })
}

function tabs({ all: { causes }, handler }: Seen): Html {
  const byHandler = Map.groupBy(causes, (each) => each.handler)
  const names = [...byHandler.keys()].slice(0, MAX_TABS)
  if (handler !== '' && !names.includes(handler)) names.push(handler)
  const tab = (name: string): Html => {
    const url = name === '' ? '/console/dead' : `/console/dead?handler=${encodeURIComponent(name)}`
    const { count, more } = sumOf(name === '' ? causes : (byHandler.get(name) ?? []))
    return html`<a href="${own(url)}"${when(name === handler, () => CURRENT)}>${name === '' ? html`all handlers` : show(name, 60)} <span class="n">${own(capped({ count, more }))}</span></a>`
  }
  return html`<div class="bar spread"><nav class="tabs" aria-label="Handler">${['', ...names].map(tab)}</nav>${views(handler, 'cause')}</div>`
}

const CURRENT = html` aria-current="page"`

function* groupsOf(seen: Seen): Generator<Html> {
  for (const [at, cause] of seen.shown.entries()) yield group(cause, seen.examples?.[at], seen)
}

function foot({ causes, shown, from, handler }: Seen): Html {
  if (causes.length === shown.length && from === 0) return html`<div class="foot">${own(COMPARED)}</div>`
  const next = new URLSearchParams({ ...(handler !== '' && { handler }), from: String(from + shown.length) })
  const more =
    from + shown.length < causes.length
      ? html`<a class="btn" rel="next" href="/console/dead?${own(next.toString())}">More causes</a>`
      : NOTHING
  return html`<div class="foot"><span>${own(`${COMPARED} Causes ${whole(from + 1)} to ${whole(from + shown.length)} of ${whole(causes.length)}, most dead letters first.`)}</span>${more}</div>`
}

const COMPARED = 'Numbers, ids and addresses are taken out of an error before it is compared.'

/** A text of others is no id. */
export const idOf = ({ id, handler, source }: Pick<DeadCause, 'id' | 'handler' | 'source'>): string =>
  `c-${hash('sha256', `${id}\0${handler}\0${source}`).slice(0, 12)}`

function group(cause: DeadCause, example: string | undefined, { visit, probed, ports, handler: only }: Seen): Html {
  const { signature, handler, source, count, isCapped, firstAtMs, lastAtMs, at, hourly, id } = cause
  const { nowMs } = visit
  const title = idOf(cause)
  const words = trend(hourly, lastAtMs, nowMs)
  const list = new URLSearchParams({ handler, source, cause: id })
  const mine = probed !== undefined && isOf(probed, cause) ? probed : undefined
  const isProven = mine?.state === 'succeeded'
  const n = capped({ count, more: isCapped })
  return html`<article class="group" id="g-${own(title)}" aria-labelledby="${own(title)}"><div><h2 id="${own(title)}"><a class="row" href="/console/dead/list?${own(list.toString())}">${signatureShown(signature)}</a></h2>
<p class="meta"><span>handler <b>${show(handler, 60)}</b></span><span>source <b>${show(source, 60)}</b></span><span>first <b>${time(firstAtMs, nowMs)}</b></span><span>last <b>${time(lastAtMs, nowMs)}</b></span>${at === undefined ? NOTHING : html`<span>at <b class="mono">${show(at, 120)}</b></span>`}<span>${own(words)}</span></p></div>
<div class="side">${bars(hourly, words)}<p class="count">${own(n)}<span class="hide"> dead letters</span></p></div>
${mine === undefined ? NOTHING : probePanel(mine, n, visit)}
<div class="do bar">${actions(cause, isProven, only, ports, visit)}${example === undefined ? NOTHING : html`<a class="btn plain" href="/console/events/${own(example)}">Latest example</a>`}</div></article>`
}

/** `isProven`: its probe has succeeded, and offers the rest. */
function actions(cause: DeadCause, isProven: boolean, only: string, ports: ConsolePorts, visit: Visit): Html {
  const { handler, source, count, isCapped, id } = cause
  const n = capped({ count, more: isCapped })
  const meant = { handler, source, cause: id }
  const gone = whyGone(handler, source, ports)
  const paused = html`<p class="small warn">${mark('paused')} <a href="/console/handlers/${own(encodeURIComponent(handler))}">The handler is paused</a>: what is replayed waits.</p>`
  const discard = html`<a class="btn" href="${own(bulkUrl('discard', meant))}">Discard…</a>`
  if (gone !== undefined)
    return html`<p class="small warn">${mark('warning')} ${gone.what} ${gone.mending} to replay ${own(count === 1 ? 'it' : 'them')}.</p>${when(visit.mayChange, () => discard)}`
  return html`${when(ports.pauses.find('handler', handler) !== undefined, () => paused)}${when(
    visit.mayChange,
    () =>
      html`${when(!isProven, () => html`${probeForm(cause, only, count === 1, visit)}${when(count > 1, () => html`<a class="btn" href="${own(bulkUrl('replay', meant))}">Replay all ${own(n)}…</a>`)}`)}${discard}`,
  )}`
}
