import type { Problem, ProblemName } from '../../../domain/problem.ts'
import type { RetentionReport } from '../../../domain/retention.ts'
import type { ServiceStatus } from '../../../domain/status.ts'
import { VERSION } from '../../../domain/version.ts'
import { within } from '../../../domain/within.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { mark, state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { ago, bytes, counted, duration, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { Visit } from '../routes.ts'

export interface Process {
  readonly status: ServiceStatus
  /** Undefined: the store does not tell, or this process deletes nothing. */
  readonly retention: RetentionReport | undefined
  readonly isDraining: boolean
}

/** What the store does not tell within this time is left out. */
const TIMEOUT_MS = 1_000

export async function readProcess({ status, retention, pauses }: ConsolePorts): Promise<Process> {
  const [now, report] = await Promise.all([status(), within(TIMEOUT_MS, retention.report())])
  return { status: now, retention: report, isDraining: pauses.isDraining }
}

/** Problems of the process and its store, with what helps. */
const HELP: Readonly<Partial<Record<ProblemName, string>>> = {
  store_failing: 'Providers get 503 and send again. Look at the disk or the database; the service goes on by itself.',
  disk_low: 'Free space on the disk of the store, or keep events for a shorter time: RETENTION_DAYS.',
  routes_unknown: 'Start a worker: it tells the others which handlers there are.',
  store_damaged: 'Restore what is missing from a backup; what is there stays readable.',
  clock_off: 'Set the clock of this machine by NTP.',
  retention_held: 'Confirm below that the clock is right, and old events are deleted again.',
}

export const processPart = (process: Process, visit: Visit): Html =>
  html`<section id="process" aria-labelledby="process-title"><h2 id="process-title">This process</h2><div class="card pad stack">
${problemsOf(process.status)}
${factsOf(process, visit)}
</div></section>`

function problemsOf({ problems }: ServiceStatus): Html {
  const own_ = problems.filter(({ problem }) => HELP[problem] !== undefined)
  if (own_.length === 0) return NOTHING
  return html`<ul class="steps">${own_.map(problemOf)}</ul>`
}

const problemOf = ({ problem, severity, summary, cause }: Problem): Html =>
  html`<li>${mark('warning', severity === 'critical' ? 'bad' : 'warn')}<div><p><b>${show(summary, 300)}</b>${cause === undefined ? NOTHING : html`: ${show(cause, 600)}`}</p><p class="small muted">${own(HELP[problem] ?? '')}</p></div></li>`

function factsOf(process: Process, visit: Visit): Html {
  const { role, startedAtMs, store, problems, workers } = process.status
  const { nowMs } = visit
  const isClockOff = problems.some(({ problem }) => problem === 'clock_off')
  const size = store.bytes === undefined ? NOTHING : html`, ${own(bytes(store.bytes))}`
  const free = store.freeBytes === undefined ? NOTHING : html`, ${own(bytes(store.freeBytes))} free on its disk`
  return html`<dl class="kv">
<dt>Version</dt><dd>${own(VERSION)}, started ${ago(startedAtMs, nowMs)}</dd>
<dt>Role</dt><dd>${own(role)}${own(workers === undefined || workers < 2 ? '' : `, one of ${counted(workers, role === 'all' ? 'replica' : 'worker')}`)}</dd>
<dt>Store</dt><dd>${store.faults.length === 0 ? state('succeeded', own('storing')) : state('dead', own('not storing'))} ${own(store.kind === 'sqlite' ? 'SQLite' : 'PostgreSQL')}${size}${free}</dd>
<dt>Clock</dt><dd>${isClockOff ? state('warning', own('off'), 'bad') : state('succeeded', own('right'))} ${time(nowMs, nowMs)} UTC</dd>
<dt>Work</dt><dd>${drainingPart(process, visit)}</dd>
${retentionPart(process, visit)}
</dl>`
}

function drainingPart({ isDraining, status: { role } }: Process, { mayChange, frame }: Visit): Html {
  if (role === 'ingest') return html`this process receives, and runs no handlers`
  const now = isDraining
    ? html`${state('paused', own('drained'))} claims no deliveries, tasks and replays; what runs finishes`
    : html`${state('succeeded', own('claims work'))}`
  if (!mayChange) return now
  const button = isDraining
    ? html`<button class="btn go" type="submit">Claim again</button>`
    : html`<button class="btn" type="submit">Drain</button> <span class="small muted">before this process is stopped: others go on</span>`
  return html`<form class="bar" method="post" action="/console/config/drain">${csrfField(frame)}<input type="hidden" name="on" value="${own(isDraining ? 'false' : 'true')}"><span>${now}</span>${button}</form>`
}

function retentionPart({ retention }: Process, { nowMs, mayChange, frame }: Visit): Html {
  if (retention === undefined) return NOTHING
  const { isHeld, clockMs, trustedAtMs, retentionDays } = retention
  const kept = retentionDays === 0 ? 'events are kept for ever' : `events are kept for ${counted(retentionDays, 'day')}`
  if (!isHeld) return html`<dt>Retention</dt><dd>${state('succeeded', own('in order'))} ${own(kept)}</dd>`
  const confirm = mayChange
    ? html`<form class="bar" method="post" action="/console/config/retention">${csrfField(frame)}<input type="hidden" name="clock" value="${own(new Date(clockMs).toISOString())}"><button class="btn" type="submit">The clock is right: it is ${time(clockMs, nowMs)} UTC, ${own(new Date(clockMs).toISOString().slice(0, 10))}</button></form>`
    : NOTHING
  return html`<dt>Retention</dt><dd class="stack">
<span>${state('warning', own('held'))} nothing is deleted: the clock says ${time(clockMs, nowMs)} UTC, ${own(duration(Math.abs(clockMs - trustedAtMs)))} after it was last trusted</span>${confirm}</dd>`
}
