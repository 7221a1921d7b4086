import type { DriftEntry } from '../../../domain/drift-store.ts'
import { HoldfastError } from '../../../domain/errors.ts'
import type { Pause } from '../../../domain/pause.ts'
import type { SecretUse, SourceState } from '../../../domain/source.ts'
import type { SourceHealth } from '../../../domain/source-health.ts'
import type { StatNumbers } from '../../../domain/stats.ts'
import type { SourceView } from '../../schemas/configuration.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { state } from '../html/marks.ts'
import { spark } from '../html/plot.ts'
import { plain, show } from '../html/show.ts'
import { table } from '../html/table.ts'
import { ago, counted, duration, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { pausing, registerPausing } from './pausing.ts'

interface Seen {
  readonly source: SourceView
  readonly state: SourceState
  readonly health: SourceHealth
  readonly pause: Pause | undefined
}

const DAY_MS = 86_400_000
const HOUR_SECONDS = 3_600
const DRIFT_SHOWN = 20

export function registerSourcePages(routes: ConsoleRoutes, options: ConsolePorts): void {
  const { sources, sourceState, sourceHealth, secretUses, pauses, stats, store } = options
  const seen = async (source: SourceView): Promise<Seen> => ({
    source,
    state: await sourceState(source.name),
    health: sourceHealth(source.name),
    pause: pauses.find('source', source.name),
  })
  const lastDay = (source: string, nowMs: number) =>
    stats({ source, sinceMs: nowMs - DAY_MS, stepSeconds: HOUR_SECONDS })

  routes.page('/sources', async (visit) => {
    const all = await Promise.all(sources().map(seen))
    const days = await Promise.all(all.map(({ source }) => lastDay(source.name, visit.nowMs)))
    const rows = all.map((each, at) => ({
      ...each,
      hourly: hourlyOf(days[at]?.points ?? [], visit.nowMs),
      total: days[at]?.total,
    }))
    return { section: 'sources', title: 'Sources', content: listOf(rows, visit) }
  })

  routes.page('/sources/:name', async (visit) => {
    const { name = '' } = visit.params
    const source = sources().find((each) => each.name === name)
    if (source === undefined) throw new HoldfastError('unknown_source', `there is no source ${name}`)
    const [one, day, drift] = await Promise.all([
      seen(source),
      lastDay(name, visit.nowMs),
      store.driftEntries({ source: name }, { limit: DRIFT_SHOWN }),
    ])
    return { section: 'sources', title: name, content: pageOf(one, day.total, secretUses(name), drift.items, visit) }
  })

  registerPausing(routes, 'source', () => sources().map(({ name }) => name), options)
}

const hourlyOf = (
  points: readonly { readonly atMs: number; readonly received: number }[],
  nowMs: number,
): readonly number[] => {
  const first = Math.floor((nowMs - DAY_MS) / 3_600_000) * 3_600_000
  const byTime = new Map(points.map(({ atMs, received }) => [atMs, received]))
  return Array.from({ length: 25 }, (_, hour) => byTime.get(first + hour * 3_600_000) ?? 0)
}

/** The state of a source: the worst of what is so. */
function stateOf({ state: { breaker }, health, pause }: Seen): Html {
  if (health.refusingSinceMs !== undefined) return state('refused', own('refused'))
  if (health.silentSinceMs !== undefined) return state('silent', own('silent'))
  if (breaker === 'open') return state('open', own('breaker open'))
  if (pause !== undefined) return state('paused', own('paused'))
  return health.lastWebhookAtMs === undefined
    ? state('none', own('no event yet'))
    : state('succeeded', own('receiving'))
}

type Row = Seen & { readonly hourly: readonly number[]; readonly total: StatNumbers | undefined }

function listOf(rows: readonly Row[], { nowMs }: Visit): Html {
  return html`<div class="head"><h1>Sources</h1></div>${table({
    caption: 'Sources',
    rows,
    columns: [
      {
        title: 'Source',
        kind: 'name',
        cell: ({ source: { name } }) =>
          html`<a class="row" href="/console/sources/${own(encodeURIComponent(name))}">${show(name, 60)}</a>`,
      },
      { title: 'State', onPhone: 'end', cell: stateOf },
      { title: 'Provider', onPhone: 'gone', cell: ({ source: { provider } }) => own(provider.name) },
      { title: '24 h', kind: 'number', cell: ({ total }) => own(whole(total?.received ?? 0)) },
      { title: 'Refused', kind: 'number', cell: ({ total }) => own(whole(refusedIn(total))) },
      { title: 'Trend', onPhone: 'gone', cell: ({ hourly }) => spark(hourly) },
      {
        title: 'Last',
        kind: 'number',
        onPhone: 'end',
        cell: ({ health: { lastWebhookAtMs } }) =>
          lastWebhookAtMs === undefined ? html`–` : ago(lastWebhookAtMs, nowMs),
      },
    ],
  })}`
}

const refusedIn = (total: StatNumbers | undefined): number =>
  [...(total?.refused.values() ?? [])].reduce((sum, each) => sum + each, 0)

function pageOf(
  seen: Seen,
  total: StatNumbers,
  secrets: readonly SecretUse[],
  drift: readonly DriftEntry[],
  visit: Visit,
): Html {
  const { source, state: now, health, pause } = seen
  const { nowMs } = visit
  const url = source.url ?? `/v1/webhooks/${source.name}`
  const fact = (name: string, value: Html): Html => html`<dt>${own(name)}</dt><dd>${value}</dd>`
  return html`<div><p class="crumb"><a href="/console/sources">Sources</a></p><div class="head"><div class="bar"><h1>${show(source.name, 80)}</h1>${stateOf(seen)}</div><a class="btn" href="/console/events?q=${own(encodeURIComponent(`source:${source.name}`))}">Its events</a></div></div>
${pausing('source', source.name, pause, visit)}
<dl class="card pad kv">
${fact('Provider', own(source.provider.name))}
${fact('URL', html`<span class="mono">${show(url, 200)}</span> <button class="link tiny" type="button" data-copy="${plain(url, 512)}">copy</button>${source.url === undefined ? html` <span class="muted">(set PUBLIC_URL to see it whole)</span>` : NOTHING}`)}
${fact('Accepts', html`${source.types.map((type, at) => html`${own(at === 0 ? '' : ', ')}<code>${show(type, 80)}</code>`)}`)}
${fact('Last event', health.lastWebhookAtMs === undefined ? html`none yet` : html`${time(health.lastWebhookAtMs, nowMs)} UTC, ${ago(health.lastWebhookAtMs, nowMs)}`)}
${fact('Usual gap', health.usualGapMs === undefined ? html`not known yet` : own(duration(health.usualGapMs)))}
${health.silentSinceMs === undefined ? NOTHING : fact('Silent', html`<span class="warn">since ${time(health.silentSinceMs, nowMs)} UTC</span>: look at the registration at the provider, and at PUBLIC_URL`)}
${health.refusingSinceMs === undefined ? NOTHING : fact('Refused', html`<span class="bad">since ${time(health.refusingSinceMs, nowMs)} UTC, ${own(health.refusingReason?.replaceAll('_', ' ') ?? '')}</span>: put the provider's new secret first in SOURCE_${own(source.name.toUpperCase().replaceAll('-', '_'))}_SECRET, and reload`)}
${now.breaker === null ? NOTHING : fact('Circuit breaker', own(now.breaker.replaceAll('_', ' ')))}
${fact('Recovered by poll', html`${own(counted(now.recovered, 'task'))} in the last hour`)}
</dl>
<div class="two">${secretsOf(secrets, nowMs)}
${requestsOf(total)}</div>
${driftOf(drift, nowMs)}`
}

const secretsOf = (secrets: readonly SecretUse[], nowMs: number): Html =>
  html`<section aria-labelledby="secrets"><h2 id="secrets">Secrets</h2>${table({
    caption: 'Secrets of this source; the values are never shown',
    rows: secrets,
    columns: [
      { title: 'Place', cell: ({ place }) => own(place === 1 ? '1, the newest' : String(place)) },
      { title: 'Verified', kind: 'number', cell: ({ verified }) => own(whole(verified)) },
      {
        title: 'Last',
        kind: 'number',
        onPhone: 'end',
        cell: ({ lastVerifiedAtMs }) => (lastVerifiedAtMs === undefined ? html`–` : ago(lastVerifiedAtMs, nowMs)),
      },
      {
        title: 'In this process',
        kind: 'number',
        onPhone: 'gone',
        cell: ({ sinceMs }) => html`since ${time(sinceMs, nowMs)}`,
      },
    ],
  })}</section>`

const requestsOf = (total: StatNumbers): Html =>
  html`<section aria-labelledby="refusals"><h2 id="refusals">Last 24 hours</h2>${table({
    caption: 'Requests of the last 24 hours, by what came of them',
    rows: [
      ['stored', total.received],
      ['duplicates', total.duplicates],
      ['not understood', total.quarantined],
      ...total.refused,
    ] as readonly (readonly [string, number])[],
    columns: [
      { title: 'Requests', cell: ([name]) => own(name.replaceAll('_', ' ')) },
      { title: 'Number', kind: 'number', onPhone: 'end', cell: ([, count]) => own(whole(count)) },
    ],
  })}</section>`

function driftOf(drift: readonly DriftEntry[], nowMs: number): Html {
  if (drift.length === 0) return NOTHING
  return html`<section aria-labelledby="drift"><h2 id="drift">Fields that have changed</h2>${table({
    caption: 'Fields that have changed, newest first',
    rows: drift,
    columns: [
      { title: 'Seen, UTC', kind: 'short', cell: ({ atMs }) => time(atMs, nowMs) },
      { title: 'Type', kind: 'name', onPhone: 'wide', cell: ({ type }) => show(type, 80) },
      { title: 'Field', onPhone: 'wide', cell: ({ path }) => html`<code>${show(path, 200)}</code>` },
      {
        title: 'Change',
        cell: ({ what, from, to }) =>
          html`${own(what)} ${show([from, to].filter((each) => each !== undefined).join(' → '), 80)}`,
      },
      {
        title: 'In',
        kind: 'mono',
        onPhone: 'end',
        cell: ({ event }) => html`<a href="/console/events/${own(event)}">…${own(event.slice(-6))}</a>`,
      },
    ],
  })}</section>`
}
