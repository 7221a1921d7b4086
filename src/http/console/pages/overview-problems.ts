import type { Problem, ProblemName, Severity } from '../../../domain/problem.ts'
import type { ServiceStatus } from '../../../domain/status.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { type MarkName, mark, type Tone } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { ago, bytes, counted, duration, moment } from '../html/words.ts'
import { quoted } from '../search-words.ts'
import { idOf } from './dead.ts'
import { briefSignature } from './signature.ts'

const MAX_SHOWN = 20

/** What needs a hand, the worst first, and a line of what is in order. */
export function problems(status: ServiceStatus, nowMs: number): Html {
  const shown = status.problems.slice(0, MAX_SHOWN)
  const more = status.problems.length - shown.length
  return html`<section class="card" id="hand" aria-label="What needs a hand">
<ul class="hand">${shown.map((problem, at) => problemOf(problem, at === 0, nowMs))}${
    more > 0
      ? html`<li id="p-more">${mark('note')}<p>${own(counted(more, 'more problem'))}: see sources and handlers.</p></li>`
      : NOTHING
  }</ul>
${fine(status)}
</section>`
}

const TONES: Readonly<Record<Severity, Tone>> = { critical: 'bad', warning: 'warn', notice: 'quiet' }
const MARKS: Readonly<Partial<Record<ProblemName, MarkName>>> = {
  dead_letters: 'dead',
  handler_failing: 'failing',
  refusals: 'refused',
  source_silent: 'silent',
  breaker_open: 'open',
  handler_paused: 'paused',
  source_paused: 'paused',
  draining: 'paused',
  schema_drift: 'note',
}

function problemOf(problem: Problem, isFirst: boolean, nowMs: number): Html {
  const { problem: name, severity, summary, sinceMs, lastMs, cause, source, handler } = problem
  const about = handler ?? source
  const details = [
    ...(sinceMs === undefined
      ? []
      : [html`since ${moment(sinceMs, nowMs)}, ${own(duration(Math.max(0, nowMs - sinceMs)))}`]),
    ...(lastMs === undefined ? [] : [html`last ${ago(lastMs, nowMs)}`]),
    ...(cause === undefined
      ? []
      : [
          show(
            name === 'dead_letters' ? briefSignature(cause) : name === 'refusals' ? cause.replaceAll('_', ' ') : cause,
            200,
          ),
        ]),
    ...(handler !== undefined && source !== undefined ? [html`from ${show(source, 60)}`] : []),
  ]
  const { path, words } = mendingOf(problem)
  return html`<li>${mark(MARKS[name] ?? 'warning', name === 'dead_letters' ? 'bad' : TONES[severity])}<div>
<p>${about === undefined ? html`<b>${show(sentence(summary), 300)}</b>` : html`<b>${show(about, 80)}</b>: ${show(summary, 300)}`}<span class="hide">, ${own(severity)}</span></p>
<p>${details.map((each, at) => (at === 0 ? each : html` · ${each}`))}</p></div>
<a class="btn${own(isFirst && severity !== 'notice' ? ' go' : '')}" href="${own(path)}">${own(words)}</a></li>`
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`

interface Mending {
  readonly path: string
  readonly words: string
}

/** Where a problem is mended. */
export function mendingOf(of: Pick<Problem, 'problem' | 'source' | 'handler' | 'causeId'>): Mending {
  const { problem, source, handler, causeId } = of
  const ofSource = source === undefined ? '/console/sources' : `/console/sources/${encodeURIComponent(source)}`
  const ofHandler = handler === undefined ? '/console/handlers' : `/console/handlers/${encodeURIComponent(handler)}`
  switch (problem) {
    case 'dead_letters':
      return {
        path: `${withQuery('/console/dead', { handler })}${groupOf(causeId, handler, source)}`,
        words: 'Look and replay',
      }
    case 'refusals':
      return { path: ofSource, words: 'Check the secret' }
    case 'source_silent':
      return { path: ofSource, words: 'Check the source' }
    case 'schema_drift':
      return { path: ofSource, words: 'See the changes' }
    case 'breaker_open':
      return { path: withQuery('/console/tasks', { status: 'pending', source }), words: 'See the tasks' }
    case 'source_paused':
      return { path: ofSource, words: 'See and resume' }
    case 'handler_paused':
      return { path: ofHandler, words: 'See and resume' }
    case 'backlog':
      return handler === undefined
        ? { path: events('outcome:pending'), words: 'See what waits' }
        : { path: ofHandler, words: 'Look' }
    case 'handler_failing':
      return { path: ofHandler, words: 'Look' }
    case 'handler_missing':
      return { path: ofHandler, words: 'See the handler' }
    case 'events_quarantined':
      return {
        path: events(`status:quarantined${source === undefined ? '' : ` source:${quoted(source)}`}`),
        words: 'See the events',
      }
    case 'tasks_stuck':
      return { path: withQuery('/console/tasks', { status: 'pending', source }), words: 'See the tasks' }
    case 'tasks_expired':
      return { path: withQuery('/console/tasks', { status: 'expired', source }), words: 'See the tasks' }
    case 'reload_failed':
      return { path: '/console/config#reload', words: 'See the faults' }
    case 'clock_off':
    case 'disk_low':
    case 'draining':
    case 'retention_held':
    case 'routes_unknown':
    case 'store_damaged':
    case 'store_failing':
      return { path: '/console/config#process', words: 'See the process' }
  }
}

/** Where the group of a cause stands in its page, if it is on the first one. */
export const groupOf = (id: string | undefined, handler: string | undefined, source: string | undefined): string =>
  id === undefined || handler === undefined || source === undefined ? '' : `#g-${idOf({ id, handler, source })}`

const events = (words: string): string => `/console/events?q=${encodeURIComponent(words)}`

function withQuery(path: string, given: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams(
    Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
  return query.size === 0 ? path : `${path}?${query.toString()}`
}

/** What is in order. */
function fine({ store, workers, role, problems: all, counts }: ServiceStatus): Html {
  const isIn = (name: ProblemName): boolean => all.some(({ problem }) => problem === name)
  const stored = store.bytes === undefined ? '' : `, ${bytes(store.bytes)}`
  const facts = [
    ...(store.faults.length === 0 && counts !== undefined ? [`storing${stored}`] : []),
    ...(store.freeBytes === undefined || isIn('disk_low') ? [] : [`${bytes(store.freeBytes)} free on the disk`]),
    ...(workers === undefined || workers < 2 ? [] : [counted(workers, role === 'all' ? 'replica' : 'worker')]),
    ...(isIn('clock_off') ? [] : ['clock right']),
    ...(isIn('reload_failed') ? [] : ['configuration in force']),
  ]
  if (facts.length === 0) return NOTHING
  return html`<ul class="fine" aria-label="In order">${facts.map((fact) => html`<li>${mark('succeeded', 'ok')}${own(fact)}</li>`)}</ul>`
}
