import type { EventDetail } from '../../../domain/event-store.ts'
import { paceOf, type ReplayDetail, type ReplayJob, type SkipReason } from '../../../domain/replay-jobs.ts'
import { again, live, onceMore } from '../html/again.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { type MarkName, mark, state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { pager, table } from '../html/table.ts'
import { ago, capped, counted, duration, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { listOf, whatOf } from './replay-words.ts'
import { cancelForm, progressBar, progressInWords } from './running-replays.ts'

const PAGE_SIZE = 30
/** How long a page waits until it asks again for a replay that goes on. */
const DELAY_SECONDS = 2

export function registerReplayPages(routes: ConsoleRoutes, { replays, store }: ConsolePorts): void {
  routes.page('/replays', async (visit) => {
    const cursor = visit.query.get('cursor') || undefined
    const { items, nextCursor } = await replays.list({ limit: PAGE_SIZE, ...(cursor !== undefined && { cursor }) })
    return { section: 'replays', title: 'Replays', content: list(items, nextCursor, visit) }
  })

  const read = async ({ params: { id = '' } }: Visit) => {
    const job = await replays.show(id)
    const isOver = job.filter.delivery === 'dead' && !isOpen(job)
    const [probe, dead] = await Promise.all([
      job.probe?.uid === undefined ? undefined : store.event(job.probe.uid),
      isOver ? store.deliveries({ state: 'dead' }, { limit: 1 }) : undefined,
    ])
    return { job, probe, isAllDone: dead?.items.length === 0 }
  }
  routes.page('/replays/:id', async (visit) => {
    const seen = await read(visit)
    return {
      section: 'replays',
      title: `Replay, ${wordOf(seen.job)}`,
      content: html`${when(visit.query.get('same') === '1', () => SAME)}<div class="sheet" id="replay">${progress(seen, visit, NOTHING)}</div>`,
    }
  })
  routes.part('/replays/:id', async (visit) => {
    const seen = await read(visit)
    const part = { path: partOf(seen.job), into: 'replay', nowMs: visit.nowMs }
    return progress(seen, visit, onceMore(part, visit.query))
  })

  routes.form('/replays/:id/cancel', 'replay.cancel', async ({ params: { id = '' } }) => {
    const job = await replays.cancel(id)
    return `/console/replays/${job.id}`
  })
}

const SAME = html`<p class="note" role="status">This replay does what you have asked for, and was running already. Nothing was begun a second time.</p>`

const MARKS: Readonly<Record<ReplayJob['state'], MarkName>> = {
  running: 'running',
  done: 'succeeded',
  cancelled: 'discarded',
  stopped: 'warning',
}

const wordOf = ({ state: now, startedAtMs }: ReplayJob): string =>
  now === 'running' && startedAtMs === undefined ? 'waits for its turn' : now

const stateOf = (job: ReplayJob): Html => state(MARKS[job.state], own(wordOf(job)))

function list(jobs: readonly ReplayJob[], nextCursor: string | undefined, { nowMs }: Visit): Html {
  const heading = html`<div class="head"><div><h1>Replays</h1><p>Many events that run again, one replay after another. New events go before them.</p></div></div>`
  if (jobs.length === 0)
    return html`${heading}<div class="card pad"><p>None yet. Begin one from <a href="/console/dead">dead letters</a>, or from <a href="/console/events">events</a> that you have searched for.</p></div>`
  return html`${heading}${table({
    caption: 'Replays, newest first',
    rows: jobs,
    columns: [
      { title: 'Began, UTC', kind: 'short', cell: ({ createdAtMs }) => time(createdAtMs, nowMs) },
      { title: 'State', onPhone: 'end', cell: stateOf },
      {
        title: 'What',
        onPhone: 'wide',
        cell: (job) => html`<a class="row" href="/console/replays/${own(job.id)}">${whatOf(job)}</a>`,
      },
      {
        title: 'Done',
        kind: 'number',
        cell: ({ replayed, skipped, matched, matchedMore }) =>
          own(`${whole(replayed + skipped)} of ${capped({ count: matched, more: matchedMore === true })}`),
      },
      { title: 'By', onPhone: 'end', cell: ({ by }) => html`<span class="muted">${show(by ?? '', 60)}</span>` },
    ],
    foot: pager(
      own(`${counted(jobs.length, 'replay')}, newest first.`),
      nextCursor && `/console/replays?cursor=${encodeURIComponent(nextCursor)}`,
    ),
  })}`
}

/** What the replay has made due still runs after it has gone through all events. */
const isOpen = ({ state: now, outcomes }: ReplayDetail): boolean =>
  now === 'running' || outcomes.some(({ pending, failing }) => pending > failing)

interface Seen {
  readonly job: ReplayDetail
  readonly probe: EventDetail | undefined
  /** It is over, and no dead letter is left at all. */
  readonly isAllDone: boolean
}

/** `last`: what asks again when it is over. */
function progress({ job, probe, isAllDone }: Seen, visit: Visit, last: Html): Html {
  const { perSecond, reason, createdAtMs } = job
  const { nowMs } = visit
  const { perSecond: pace } = paceOf(job, nowMs)
  const isLive = isOpen(job)
  return html`<div><p class="crumb"><a href="/console/replays">Replays</a></p><div class="head"><div class="bar"><h1>Replay</h1>${stateOf(job)}</div><div class="bar">${isLive ? html`${live('Live')}${again({ path: partOf(job), into: 'replay', seconds: DELAY_SECONDS, nowMs })}` : last}${cancelForm(job, visit)}</div></div>
<p>${whatOf(job)}. Asked for ${isLive ? ago(createdAtMs, nowMs) : html`at ${time(createdAtMs, nowMs)}`}${job.by === undefined ? NOTHING : html` by ${show(job.by, 120)}`}.</p></div>
<section class="card prog" aria-label="Progress"><p class="bar spread"><b>${progressInWords(job, nowMs)}</b><span class="small muted">${own([...(pace === undefined ? [] : [`${pace < 10 ? pace : whole(pace)} a second`]), ...(perSecond === undefined ? [] : [`at most ${whole(perSecond)}`])].join(', '))}</span></p>
${progressBar(job)}
${probeOf(job, probe, visit)}
${reason === undefined || job.probe?.state === 'failed' ? NOTHING : html`<p class="note">Stopped: ${show(reason, 300)}</p>`}
${after(job, isAllDone)}</section>
${outcomes(job)}
${facts(job, visit)}`
}

const partOf = ({ id }: ReplayJob): string => `/console/part/replays/${encodeURIComponent(id)}`

function probeOf({ probe, state: now }: ReplayJob, event: EventDetail | undefined, { nowMs }: Visit): Html {
  if (probe === undefined) return NOTHING
  const name =
    probe.uid === undefined
      ? html`The probe`
      : html`The probe <a href="/console/events/${own(probe.uid)}">…${own(probe.uid.slice(-6))}</a>`
  const error = probe.error === undefined ? NOTHING : html`: <code>${show(probe.error, 200)}</code>`
  switch (probe.state) {
    case 'succeeded':
      return html`<p>${mark('succeeded')} ${name} succeeded${own(now === 'running' ? ', and the others follow' : '')}.</p>`
    case 'failed':
      return html`<p>${mark('dead')} ${name} failed again${error}. No other event was replayed. Mend the cause, then replay again.</p>`
    case 'running':
      return html`<p>${mark('running')} ${name} runs${event === undefined ? NOTHING : html`: ${show(event.type, 80)}, of ${time(event.receivedAtMs, nowMs)}`}. The others wait for it.</p>`
    case 'waiting':
      return html`<p>${mark('pending')} One event goes first, as a probe.</p>`
  }
}

/** What there is to do when it is over. */
function after(job: ReplayDetail, isAllDone: boolean): Html {
  if (job.state === 'running') return NOTHING
  const died = job.outcomes.reduce((sum, { dead }) => sum + dead, 0)
  if (isAllDone) return html`<p class="small"><a href="/console/dead">No dead letters are left</a></p>`
  const left = job.state === 'done' ? '' : 'The rest was not replayed. '
  const link =
    died > 0 || job.state !== 'done'
      ? html`<a href="${own(leftOf(job))}">See what is left of it</a>`
      : html`<a href="${own(listOf(job))}">The same search, now</a>`
  return html`<p class="small">${own(died > 0 ? `${left}${whole(died)} died again. ` : left)}${link}</p>`
}

/** Dead letters by cause, where one of them can be tried; if they were searched for, the search. */
function leftOf(job: ReplayDetail): string {
  const { delivery, handler = job.handler, cause: _cause, source: _source, untilMs: _until, ...words } = job.filter
  if (delivery !== 'dead' || Object.keys(words).length > 0) return listOf(job)
  return handler === undefined ? '/console/dead' : `/console/dead?handler=${encodeURIComponent(handler)}`
}

const OUTCOMES = ['pending', 'failing', 'succeeded', 'dead', 'discarded'] as const

/** The columns in which something stands; `succeeded` and `dead` always. */
function outcomes({ outcomes: all }: ReplayDetail): Html {
  if (all.length === 0) return NOTHING
  const shown = OUTCOMES.filter((name) => name === 'succeeded' || name === 'dead' || all.some((each) => each[name] > 0))
  return html`<section aria-labelledby="outcomes"><h2 id="outcomes">What became of the deliveries</h2><div class="card scroll" tabindex="0" role="group" aria-labelledby="outcomes"><table><thead><tr><th scope="col">Handler</th>${shown.map((each) => html`<th scope="col" class="num">${mark(each)} ${own(each)}</th>`)}</tr></thead><tbody>${all.map(
    (outcome) =>
      html`<tr><th scope="row"><a href="/console/handlers/${own(encodeURIComponent(outcome.handler))}">${show(outcome.handler, 60)}</a></th>${shown.map((each) => html`<td class="num">${own(whole(outcome[each]))}</td>`)}</tr>`,
  )}</tbody></table></div></section>`
}

const SKIPS: Readonly<Record<SkipReason, string>> = {
  nothing_to_run: 'were due or running already, or had nothing left to run',
  not_wanted: 'no handler wants now',
  not_accepted: 'are quarantined or in conflict',
  source_removed: 'are of a source that is not configured any more',
  body_corrupt: 'have damaged bytes',
  gone: 'are gone',
}

function facts(job: ReplayDetail, { nowMs }: Visit): Html {
  const { id, createdAtMs, startedAtMs, endedAtMs, skipped, skips, filter } = job
  const reasons = Object.entries(skips) as [SkipReason, number][]
  const fact = (name: string, value: Html): Html => html`<dt>${own(name)}</dt><dd>${value}</dd>`
  const moment = (ms: number): Html => html`${time(ms, nowMs)} UTC`
  return html`<dl class="card pad kv">
${fact('What', html`<a href="${own(listOf(job))}">${whatOf(job)}</a>${filter.untilMs === undefined ? NOTHING : html`, received before ${moment(filter.untilMs)}`}`)}
${fact('Asked for', moment(createdAtMs))}
${startedAtMs === undefined ? NOTHING : fact('Began', moment(startedAtMs))}
${endedAtMs === undefined ? NOTHING : fact('Ended', html`${moment(endedAtMs)}, after ${own(duration(endedAtMs - (startedAtMs ?? createdAtMs)))}`)}
${when(skipped > 0, () => fact('Skipped', own(`${counted(skipped, 'event')}: ${reasons.map(([why, count]) => `${whole(count)} ${SKIPS[why]}`).join(', ')}`)))}
${fact('Id', html`<span class="mono">${own(id)}</span>`)}</dl>`
}
