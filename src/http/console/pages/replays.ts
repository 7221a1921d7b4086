import type { ReplayDetail, ReplayJob } from '../../../domain/replay-jobs.ts'
import { inWords } from '../../ops/audit.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { type MarkName, mark, state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { pager, table } from '../html/table.ts'
import { capped, counted, duration, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'

const PAGE_SIZE = 30

export function registerReplayPages(routes: ConsoleRoutes, { replays }: ConsolePorts): void {
  routes.page('/replays', async (visit) => {
    const cursor = visit.query.get('cursor')
    const { items, nextCursor } = await replays.list({ limit: PAGE_SIZE, ...(cursor !== null && { cursor }) })
    return { section: 'replays', title: 'Replays', content: listOf(items, nextCursor, visit) }
  })

  const one = async (visit: Visit): Promise<Html> => progress(await replays.show(visit.params.id ?? ''), visit)
  routes.page('/replays/:id', async (visit) => ({
    section: 'replays',
    title: 'Replay',
    content: html`<div class="sheet" hx-get="/console/part/replays/${own(encodeURIComponent(visit.params.id ?? ''))}" hx-trigger="load delay:1s" hx-swap="innerMorph">${await one(visit)}</div>`,
  }))
  routes.part('/replays/:id', one)

  routes.form('/replays/:id/cancel', 'replay.cancel', async ({ params: { id = '' } }) => {
    await replays.cancel(id)
    return `/console/replays/${id}`
  })
}

const MARKS: Readonly<Record<ReplayJob['state'], MarkName>> = {
  running: 'running',
  done: 'succeeded',
  cancelled: 'discarded',
  stopped: 'warning',
}

const stateOf = ({ state: now, startedAtMs }: ReplayJob): Html =>
  state(MARKS[now], own(now === 'running' && startedAtMs === undefined ? 'waits' : now))

/** What a job replays, as words. */
function whatOf({ filter, handler }: ReplayJob): Html {
  const { sinceMs: _since, untilMs: _until, match, ...rest } = filter
  const words = inWords({ ...rest, ...(match !== undefined && { match }) })
  return html`${show(words === '' ? 'all events' : words, 200)}${handler === undefined || filter.handler === handler ? NOTHING : html`, to ${show(handler, 60)}`}`
}

function listOf(jobs: readonly ReplayJob[], nextCursor: string | undefined, { nowMs }: Visit): Html {
  if (jobs.length === 0)
    return html`<div class="head"><h1>Replays</h1></div><p class="muted">None yet. Select events or dead letters to run them again.</p>`
  return html`<div class="head"><h1>Replays</h1></div>${table({
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
      { title: 'By', onPhone: 'gone', cell: ({ by }) => html`<span class="muted">${show(by ?? '', 60)}</span>` },
    ],
    foot: pager(
      own(counted(jobs.length, 'replay')),
      nextCursor && `/console/replays?cursor=${encodeURIComponent(nextCursor)}`,
    ),
  })}`
}

function progress(job: ReplayDetail, visit: Visit): Html {
  const { id, matched, replayed, skipped, skips, perSecond, createdAtMs, endedAtMs, by, reason, probe, outcomes } = job
  const { nowMs, mayChange, frame } = visit
  const done = replayed + skipped
  const isRunning = job.state === 'running'
  return html`<div><p class="crumb"><a href="/console/replays">Replays</a></p><div class="head"><div class="bar"><h1>Replay</h1>${stateOf(job)}</div>${when(
    isRunning && mayChange,
    () =>
      html`<form method="post" action="/console/replays/${own(id)}/cancel">${csrfField(frame)}<button class="btn stop" type="submit">Cancel the rest</button></form>`,
  )}</div><p>${whatOf(job)}</p></div>
<section class="card prog" aria-label="Progress"><p>${own(`${whole(done)} of ${capped({ count: matched, more: job.matchedMore === true })} events`)}<span class="muted">${own(perSecond === undefined ? '' : `, at most ${whole(perSecond)} a second`)}${own(isRunning && perSecond !== undefined && matched > done ? `, about ${duration((1_000 * (matched - done)) / perSecond)} left` : '')}</span></p>
<progress value="${Math.min(done, Math.max(1, matched))}" max="${Math.max(1, matched)}" aria-label="Events">${own(`${done} of ${matched}`)}</progress>
${probe === undefined ? NOTHING : html`<p>${mark(probe.state === 'succeeded' ? 'succeeded' : probe.state === 'failed' ? 'dead' : 'pending')} Probe ${own(probe.state)}${probe.uid === undefined ? NOTHING : html`: <a href="/console/events/${own(probe.uid)}">…${own(probe.uid.slice(-6))}</a>`}${probe.error === undefined ? NOTHING : html` ${show(probe.error, 200)}`}</p>`}
${reason === undefined ? NOTHING : html`<p class="note">${show(reason, 300)}</p>`}</section>
${outcomesOf(outcomes)}
<dl class="card pad kv"><dt>Began</dt><dd>${time(createdAtMs, nowMs)} UTC</dd>${endedAtMs === undefined ? NOTHING : html`<dt>Ended</dt><dd>${time(endedAtMs, nowMs)} UTC, after ${own(duration(endedAtMs - createdAtMs))}</dd>`}${by === undefined ? NOTHING : html`<dt>By</dt><dd>${show(by, 120)}</dd>`}${when(
    skipped > 0,
    () =>
      html`<dt>Skipped</dt><dd>${own(
        Object.entries(skips)
          .map(([why, count]) => `${whole(count)} ${why.replaceAll('_', ' ')}`)
          .join(', '),
      )}</dd>`,
  )}<dt>Id</dt><dd class="mono">${own(id)}</dd></dl>`
}

const OUTCOMES = ['pending', 'failing', 'succeeded', 'dead', 'discarded'] as const

function outcomesOf(outcomes: ReplayDetail['outcomes']): Html {
  if (outcomes.length === 0) return NOTHING
  return html`<div class="card scroll" tabindex="0" role="region" aria-label="Outcomes"><table><caption class="hide">What became of the deliveries, by handler</caption><thead><tr><th scope="col">Handler</th>${OUTCOMES.map((each) => html`<th scope="col" class="num">${mark(each)} ${own(each)}</th>`)}</tr></thead><tbody>${outcomes.map(
    (outcome) =>
      html`<tr><th scope="row">${show(outcome.handler, 60)}</th>${OUTCOMES.map((each) => html`<td class="num">${own(whole(outcome[each]))}</td>`)}</tr>`,
  )}</tbody></table></div>`
}
