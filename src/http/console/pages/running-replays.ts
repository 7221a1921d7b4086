import { paceOf, type ReplayDetail, type ReplayJob } from '../../../domain/replay-jobs.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { show } from '../html/show.ts'
import { capped, duration, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { Recent } from '../recent.ts'
import type { Visit } from '../routes.ts'
import { whatOf } from './replay-words.ts'

/** Replays that a page of another section shows at most. */
const MAX_SHOWN = 3
/** All who look at once cost one reading. */
const FRESH_MS = 300
/** Of so many of the newest the running ones are found: they are the newest, but for some that were cancelled. */
const LOOKED_AT = 30

export const runningOf = async ({ replays }: Pick<ConsolePorts, 'replays'>): Promise<readonly ReplayJob[]> =>
  (await replays.list({ limit: LOOKED_AT })).items.filter(({ state }) => state === 'running')

/** Cards of the replays that run now. */
export function runningReplays(ports: Pick<ConsolePorts, 'replays'>): (visit: Visit) => Promise<readonly Html[]> {
  const recent = new Recent<readonly ReplayDetail[]>(FRESH_MS, 1)
  const read = async (): Promise<readonly ReplayDetail[]> => {
    const jobs = (await runningOf(ports)).slice(-MAX_SHOWN)
    return Promise.all(jobs.map(({ id }) => ports.replays.show(id)))
  }
  return async (visit) => (await recent.of('', read)).map((job) => card(job, visit))
}

const card = (job: ReplayDetail, visit: Visit): Html => {
  const { id, by } = job
  return html`<section class="card prog" id="r-${own(id)}" aria-labelledby="rt-${own(id)}"><div class="bar spread"><h2 id="rt-${own(id)}" class="small"><a href="/console/replays/${own(id)}">Replay</a> of ${whatOf(job, true)} ${own(job.startedAtMs === undefined ? 'waits for its turn' : 'is running')}${by === undefined ? NOTHING : html`, by ${show(by, 60)}`}</h2><span class="bar"><span class="small muted">${progressInWords(job, visit.nowMs)}</span>${cancelForm(job, visit)}</span></div>${progressBar(job)}</section>`
}

export function progressInWords(job: ReplayDetail, nowMs: number): Html {
  const { matched, matchedMore, replayed, skipped, outcomes } = job
  const sum = (state: 'succeeded' | 'dead' | 'failing'): number =>
    outcomes.reduce((total, each) => total + each[state], 0)
  const again = sum('dead') + sum('failing')
  const { leftMs } = paceOf(job, nowMs)
  return own(
    [
      `${whole(replayed + skipped)} of ${capped({ count: matched, more: matchedMore === true })}`,
      `${whole(sum('succeeded'))} succeeded`,
      ...(skipped > 0 ? [`${whole(skipped)} skipped`] : []),
      ...(again > 0 ? [`${whole(again)} failed again`] : []),
      ...(leftMs === undefined ? [] : [`about ${duration(leftMs)} left`]),
    ].join(' · '),
  )
}

export const progressBar = ({ id, state, matched, replayed, skipped, matchedMore }: ReplayJob): Html => {
  const done = replayed + skipped
  const all = Math.max(1, matched, matchedMore === true ? done + 1 : 0)
  return html`<progress id="p-${own(id)}"${when(state === 'stopped', () => STOPPED)} value="${Math.min(done, all)}" max="${all}" aria-label="Events done">${own(`${whole(done)} of ${whole(matched)}`)}</progress>`
}

const STOPPED = html` class="bad"`

export const cancelForm = ({ id, state }: ReplayJob, { mayChange, frame }: Visit): Html =>
  when(
    mayChange && state === 'running',
    () =>
      html`<form method="post" action="/console/replays/${own(id)}/cancel">${csrfField(frame)}<button class="btn" type="submit">Cancel the rest</button></form>`,
  )
