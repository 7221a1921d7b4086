import type { Problem, ProblemName, Severity } from '../../../domain/problem.ts'
import type { StatNumbers, StatsReport } from '../../../domain/stats.ts'
import type { ServiceStatus } from '../../../domain/status.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import { type MarkName, mark, type Tone } from '../html/marks.ts'
import { plot } from '../html/plot.ts'
import { show } from '../html/show.ts'
import { ago, bytes, counted, duration, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'

const RANGES = {
  '1h': { hours: 1, stepSeconds: 60 },
  '24h': { hours: 24, stepSeconds: 900 },
  '7d': { hours: 168, stepSeconds: 7_200 },
} as const
type Range = keyof typeof RANGES
const isRange = (text: string | null): text is Range => text !== null && Object.hasOwn(RANGES, text)

export function registerOverview(routes: ConsoleRoutes, options: ConsolePorts): void {
  const read = async (visit: Visit): Promise<Html> => {
    const range = rangeOf(visit)
    const { hours, stepSeconds } = RANGES[range]
    const [status, stats] = await Promise.all([
      options.status(),
      options.stats({ sinceMs: visit.nowMs - hours * 3_600_000, stepSeconds }).catch(() => undefined),
    ])
    return overview({ visit, status, stats, range })
  }
  routes.page(
    '',
    async (visit): Promise<Page> => ({
      section: 'overview',
      title: 'Overview',
      content: html`<div class="sheet" id="overview" hx-get="/console/part/overview?range=${own(rangeOf(visit))}" hx-trigger="load delay:5s" hx-swap="innerMorph">${await read(visit)}</div>`,
    }),
  )
  routes.part('/overview', read)
}

const rangeOf = ({ query }: Visit): Range => {
  const range = query.get('range')
  return isRange(range) ? range : '24h'
}

interface Seen {
  readonly visit: Visit
  readonly status: ServiceStatus
  readonly stats: StatsReport | undefined
  readonly range: Range
}

const overview = (seen: Seen): Html => html`
<div class="head"><div><h1>${headline(seen.status)}</h1><p>As of ${time(seen.status.atMs, seen.visit.nowMs)} UTC</p></div><span class="live"><i></i>Live, every 5 s</span></div>
${hand(seen)}
${numbersOf(seen)}`

function headline({ problems, store, lastEventAtMs, atMs }: ServiceStatus): Html {
  const first = store.faults.length > 0 ? 'Not receiving' : 'Receiving'
  const some = problems.filter(({ severity }) => severity !== 'notice').length
  if (some > 0)
    return html`${own(first)}. ${own(some === 1 ? 'One thing needs' : `${numberWord(some)} things need`)} a hand.`
  const last = lastEventAtMs === undefined ? html`No event yet.` : html`Last event ${ago(lastEventAtMs, atMs)}.`
  return html`${own(first)}. Nothing needs a hand. ${last}`
}

const NUMBERS = ['No', 'One', 'Two', 'Three', 'Four', 'Five', 'Six', 'Seven', 'Eight', 'Nine', 'Ten']
const numberWord = (count: number): string => NUMBERS[count] ?? whole(count)

function hand({ visit, status }: Seen): Html {
  const { problems } = status
  return html`<section class="card" aria-label="What needs a hand">
<ul class="hand">${problems.map((problem) => problemOf(problem, visit))}</ul>
${fine(status)}
</section>`
}

const TONES: Readonly<Record<Severity, Tone>> = { critical: 'bad', warning: 'warn', notice: 'quiet' }
const MARKS: Readonly<Partial<Record<ProblemName, MarkName>>> = {
  dead_letters: 'dead',
  refusals: 'refused',
  source_silent: 'silent',
  breaker_open: 'open',
  handler_paused: 'paused',
  source_paused: 'paused',
  draining: 'paused',
}

function problemOf(problem: Problem, { nowMs }: Visit): Html {
  const { severity, summary, sinceMs, lastMs, cause, source, handler } = problem
  const about = source ?? handler
  const details = [
    ...(sinceMs === undefined ? [] : [html`since ${time(sinceMs, nowMs)}, ${own(duration(nowMs - sinceMs))}`]),
    ...(lastMs === undefined ? [] : [html`last ${ago(lastMs, nowMs)}`]),
    ...(cause === undefined ? [] : [show(cause, 160)]),
  ]
  const { path, words } = mendingOf(problem)
  return html`<li>${mark(MARKS[problem.problem] ?? 'warning', TONES[severity])}<div>
<p>${about === undefined ? NOTHING : html`<b>${show(about)}</b>: `}${show(summary)}<span class="hide">, ${own(severity)}</span></p>
<p>${details.map((each, at) => (at === 0 ? each : html` · ${each}`))}</p></div>
<a class="btn" href="${own(path)}">${own(words)}</a></li>`
}

/** Where a problem is mended. */
function mendingOf({ problem, source, handler }: Problem): { readonly path: string; readonly words: string } {
  const ofSource = source === undefined ? '/console/sources' : `/console/sources/${encodeURIComponent(source)}`
  const ofHandler = handler === undefined ? '/console/handlers' : `/console/handlers/${encodeURIComponent(handler)}`
  switch (problem) {
    case 'dead_letters':
      return {
        path: handler === undefined ? '/console/dead' : `/console/dead?handler=${encodeURIComponent(handler)}`,
        words: 'Look and replay',
      }
    case 'refusals':
      return { path: ofSource, words: 'Check the secret' }
    case 'source_silent':
    case 'schema_drift':
    case 'breaker_open':
    case 'source_paused':
      return { path: ofSource, words: 'See the source' }
    case 'backlog':
    case 'handler_missing':
    case 'handler_paused':
      return { path: ofHandler, words: 'See the handler' }
    case 'events_quarantined':
      return {
        path: `/console/events?q=${encodeURIComponent(`status:quarantined${source === undefined ? '' : ` source:${source}`}`)}`,
        words: 'See the events',
      }
    case 'tasks_stuck':
    case 'tasks_expired':
      return { path: '/console/tasks', words: 'See the tasks' }
    case 'clock_off':
    case 'disk_low':
    case 'draining':
    case 'reload_failed':
    case 'retention_held':
    case 'routes_unknown':
    case 'store_damaged':
    case 'store_failing':
      return { path: '/console/config', words: 'See more' }
  }
}

function fine({ store, workers, sources, handlers }: ServiceStatus): Html {
  const facts = [
    ...(store.faults.length === 0 ? ['Storing'] : []),
    ...(store.freeBytes === undefined ? [] : [`${bytes(store.freeBytes)} free`]),
    ...(store.bytes === undefined ? [] : [`${bytes(store.bytes)} stored`]),
    ...(workers === undefined ? [] : [counted(workers, 'worker')]),
    counted(sources, 'source'),
    counted(handlers, 'handler'),
  ]
  return html`<ul class="fine">${facts.map((fact) => html`<li>${mark('succeeded', 'ok')}${own(fact)}</li>`)}</ul>`
}

const RANGE_WORDS: Readonly<Record<Range, string>> = { '1h': 'hour', '24h': '24 hours', '7d': '7 days' }

function numbersOf({ visit, status, stats, range }: Seen): Html {
  return html`<div class="head"><h2>Last ${own(RANGE_WORDS[range])}</h2><nav class="seg" aria-label="Period">${Object.keys(
    RANGES,
  ).map(
    (each) =>
      html`<a href="/console?range=${own(each)}"${when(each === range, () => CURRENT)}>${own(each.replace(/(?=[hd])/, ' '))}</a>`,
  )}</nav></div>
${stats === undefined ? html`<p class="note">The numbers cannot be read now.</p>` : html`${facts(stats.total, status, visit.nowMs)}${plots(stats, visit.nowMs)}`}`
}

const CURRENT = html` aria-current="true"`

function facts(total: StatNumbers, { counts }: ServiceStatus, nowMs: number): Html {
  const owed = (counts?.deliveries.pending ?? 0) + (counts?.deliveries.running ?? 0)
  const share = total.handled + total.failed === 0 ? undefined : total.handled / (total.handled + total.failed)
  return html`<dl class="card facts">
${fact('Received', short(total.received), `${counted(total.duplicates, 'duplicate')} more`)}
${fact('Attempts that succeeded', share === undefined ? '–' : `${(share * 100).toFixed(share > 0.999 && share < 1 ? 2 : 1)} %`, `${whole(total.failed)} failed, ${whole(total.dead)} died`)}
${fact('Acknowledged, p99', total.ack.p99Ms === undefined ? '–' : duration(total.ack.p99Ms), `p50 ${total.ack.p50Ms === undefined ? '–' : duration(total.ack.p50Ms)}`)}
${fact('Queue delay, p99', total.queue.p99Ms === undefined ? '–' : duration(total.queue.p99Ms), `p50 ${total.queue.p50Ms === undefined ? '–' : duration(total.queue.p50Ms)}`)}
${fact('Waiting', short(owed), counts?.oldestDueAtMs === undefined ? 'none is due' : `oldest due ${duration(Math.max(0, nowMs - counts.oldestDueAtMs))} ago`)}
</dl>`
}

const fact = (name: string, value: string, sub: string): Html =>
  html`<div><dt>${own(name)}</dt><dd>${own(value)}<p class="sub">${own(sub)}</p></dd></div>`

const short = (count: number): string =>
  count < 100_000
    ? whole(count)
    : count < 1_000_000
      ? `${Math.round(count / 1_000)} k`
      : `${(count / 1_000_000).toFixed(2)} M`

function plots({ sinceMs, untilMs, stepSeconds, points, total }: StatsReport, nowMs: number): Html {
  const stepMs = stepSeconds * 1_000
  const timesMs = Array.from(
    { length: Math.max(1, Math.round((untilMs - sinceMs) / stepMs)) },
    (_, at) => sinceMs + at * stepMs,
  )
  const byTime = new Map(points.map((point) => [point.atMs, point]))
  const counts = (of: (numbers: StatNumbers) => number) =>
    timesMs.map((ms) => {
      const point = byTime.get(ms)
      return point === undefined ? 0 : of(point)
    })
  const measured = (of: (numbers: StatNumbers) => number | undefined) =>
    timesMs.map((ms) => {
      const point = byTime.get(ms)
      return point && of(point)
    })
  const common = { timesMs, stepMs, nowMs }
  return html`<div class="plots">
${plot({
  ...common,
  id: 'plot-events',
  title: 'Received, handled, failed',
  scale: `per ${duration(stepMs)}, failed on a scale of its own`,
  finding: `${whole(total.received)} received, ${whole(total.handled)} attempts succeeded, ${whole(total.failed)} failed`,
  written: short,
  series: [
    { name: 'received', as: 'main', values: counts(({ received }) => received) },
    { name: 'handled', as: 'second', values: counts(({ handled }) => handled) },
    { name: 'failed', as: 'failures', values: counts(({ failed }) => failed) },
  ],
})}
${timesPlot(
  'plot-ack',
  'Acknowledgement',
  total.ack,
  measured(({ ack }) => ack.p99Ms),
  measured(({ ack }) => ack.p50Ms),
  common,
  false,
)}
${timesPlot(
  'plot-queue',
  'Queue delay',
  total.queue,
  measured(({ queue }) => queue.p99Ms),
  measured(({ queue }) => queue.p50Ms),
  common,
  true,
)}
</div>`
}

function timesPlot(
  id: string,
  title: string,
  { p50Ms, p99Ms }: StatNumbers['ack'],
  p99: readonly (number | undefined)[],
  p50: readonly (number | undefined)[],
  common: { readonly timesMs: readonly number[]; readonly stepMs: number; readonly nowMs: number },
  isLog: boolean,
): Html {
  return plot({
    ...common,
    id,
    title,
    isLog,
    scale: isLog ? 'log scale' : 'milliseconds',
    finding:
      p99Ms === undefined
        ? 'nothing was measured'
        : `median ${duration(p50Ms ?? 0)}, 99th percentile ${duration(p99Ms)}`,
    written: (ms) => (isLog ? duration(ms) : ms < 10 ? ms.toFixed(1).replace('.0', '') : whole(ms)),
    series: [
      { name: 'p99', as: 'main', values: p99 },
      { name: 'p50', as: 'second', values: p50 },
    ],
  })
}
