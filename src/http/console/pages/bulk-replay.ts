import type { DeliverySummary } from '../../../domain/delivery.ts'
import { isHoldfastError } from '../../../domain/errors.ts'
import type { EventSummary } from '../../../domain/event.ts'
import { isUid, newUid } from '../../../domain/names.ts'
import type { Pause } from '../../../domain/pause.ts'
import type { ReplayFilter, ReplayJob } from '../../../domain/replay-jobs.ts'
import type { CountLimits, ReplayOrder } from '../../../domain/replay-service.ts'
import { askedBy, noteChange, noteNoChange } from '../../ops/audit.ts'
import { clientOf } from '../../ops/ops-app.ts'
import { aimed, orderInWords } from '../../ops/replays.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import { plain, show } from '../html/show.ts'
import { ago, capped, duration, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Sent, Visit } from '../routes.ts'
import { isGone, whyGone } from './gone.ts'
import { askedOf, bulkUrl, filterOf, type Meant, meantBy, originOf, question } from './meant.ts'
import { cannotRun, due, pausedStep, rateField, rateOf } from './replay-fields.ts'
import { jobLike } from './replay-words.ts'
import { deliveriesInWords, type Sample, samples, step } from './samples.ts'
import { askSelection } from './selection.ts'

/** How far, and how long, the page counts before it says how many there are at least; what is in payloads takes longer to find. */
const MAX_COUNTED = 10_000
const COUNT_MS = 150
const COUNT_IN_PAYLOADS_MS = 1_000
const SAMPLES = 3
/** Pauses of which it is found out whether they hold events of a replay. */
const MAX_PAUSES = 10
/** Replays in which one is looked for that does the same. */
const RECENT_JOBS = 30
/** Older events may be out of date. */
const STALE_MS = 3_600_000
const MAX_HANDLERS = 100

export function registerBulkReplay(routes: ConsoleRoutes, ports: ConsolePorts): void {
  const { replays } = ports
  routes.page('/replay', async (visit): Promise<Page> => {
    const meant = meantBy((name) => visit.query.getAll(name), visit.nowMs)
    if (meant.picked.length > 0)
      return { section: sectionOf(meant), title: 'Replay', content: await askSelection(visit, meant, ports) }
    const filter = filterOf(meant)
    if (filter.outcome === 'pending')
      return { section: sectionOf(meant), title: 'Replay', content: due(filter, meant, ports) }
    const { handler, source } = filter
    const gone = whyGone(handler, source, ports)
    const content = gone === undefined ? ask(await preview(meant, ports), visit, ports) : cannotRun(gone, meant, visit)
    return { section: sectionOf(meant), title: 'Replay', content }
  })

  routes.form('/replay', 'replay.create', async (sent) => {
    const { nowMs, field, fields, request } = sent
    const meant = meantBy(fields, nowMs)
    const order = orderOf(meant, sent)
    const wanted = wordsOf(order)
    noteChange(request, { target: wanted })
    const same = await jobsLike(order.filter, ports)
    const running = same.find((job) => job.id === field('key')) ?? same.find(({ state }) => state === 'running')
    if (running !== undefined) {
      noteNoChange(request)
      return `/console/replays/${running.id}${running.id === field('key') ? '' : '?same=1'}`
    }
    try {
      const { id, matched } = await replays.create(order)
      noteChange(request, { target: `${id} ${wanted}`, count: matched })
      return `/console/replays/${id}`
    } catch (error) {
      if (meant.cause === undefined || !isHoldfastError(error, 'invalid_request')) throw error
      // None is dead of the cause any more: the page says who took them.
      noteNoChange(request)
      return bulkUrl('replay', askedOf(meant))
    }
  })

  const jobsLike = async (filter: ReplayFilter, { replays: all }: ConsolePorts): Promise<readonly ReplayJob[]> =>
    (await all.list({ limit: RECENT_JOBS })).items.filter((job) => jobLike(job, filter))

  async function preview(meant: Meant, { store }: ConsolePorts): Promise<Preview> {
    const filter = aimed(filterOf(meant))
    const [{ matched, more, sample }, jobs] = await Promise.all([
      replays.dryRun({ filter, all: true, probe: false }, limitsOf(filter)).catch(noneOf(meant)),
      jobsLike(filter, ports),
    ])
    const events = sample.slice(0, SAMPLES)
    const [deliveries, paused] = await Promise.all([
      store.facets.deliveriesOf(events.map(({ uid }) => uid)),
      pausesOf(filter, ports),
    ])
    return { meant, filter, count: matched, more, events, deliveries, paused, jobs }
  }
}

const sectionOf = ({ view, cause, picked }: Meant): 'dead' | 'events' | 'replays' =>
  view === 'list' || cause !== undefined ? 'dead' : picked.length > 0 ? 'events' : 'replays'

/** Those for which some of the events would wait, as far as that is found out in time. */
async function pausesOf(filter: ReplayFilter, { replays, pauses }: ConsolePorts): Promise<readonly Pause[]> {
  const found = pauses
    .list()
    .filter(({ kind, name }) => (filter[kind] ?? name) === name)
    .slice(0, MAX_PAUSES)
    .map(async (pause) => {
      if (filter[pause.kind] !== undefined) return pause
      const order = { filter: { ...filter, [pause.kind]: pause.name }, all: true, probe: false }
      const { matched } = await replays.dryRun(order, { matches: 1, ms: COUNT_MS }).catch(() => ({ matched: 0 }))
      return matched > 0 ? pause : []
    })
  return (await Promise.all(found)).flat()
}

const limitsOf = ({ contains, match }: ReplayFilter): CountLimits => ({
  matches: MAX_COUNTED,
  ms: contains === undefined && match === undefined ? COUNT_MS : COUNT_IN_PAYLOADS_MS,
})

/** A cause of which nothing is dead any more is no fault of the person. */
const noneOf =
  ({ cause }: Meant) =>
  (error: unknown): { matched: number; more: boolean; sample: readonly EventSummary[] } => {
    if (cause === undefined || !isHoldfastError(error, 'invalid_request')) throw error
    return { matched: 0, more: false, sample: [] }
  }

interface Preview {
  readonly meant: Meant
  readonly filter: ReplayFilter
  readonly count: number
  readonly more: boolean
  /** The oldest ones. */
  readonly events: readonly EventSummary[]
  readonly deliveries: readonly DeliverySummary[]
  readonly paused: readonly Pause[]
  /** Recent replays of the same. */
  readonly jobs: readonly ReplayJob[]
}

function orderOf(meant: Meant, { field, request }: Sent): ReplayOrder {
  const [to, key] = [field('to'), field('key')]
  return {
    filter: aimed(filterOf(meant)),
    all: true,
    probe: field('probe') === 'on',
    perSecond: rateOf(field('per_second')),
    by: `${askedBy(request)} from ${clientOf(request).peer}`,
    ...(key !== undefined && isUid(key) && { id: key }),
    ...(to !== undefined && to !== '' && { handler: to }),
  }
}

const wordsOf = ({ filter, handler, perSecond, probe }: ReplayOrder): string =>
  orderInWords({
    filter,
    probe,
    ...(handler !== undefined && { handler }),
    ...(perSecond !== undefined && { per_second: perSecond }),
  })

function ask(found: Preview, visit: Visit, ports: ConsolePorts): Html {
  const { meant, filter, count, more, jobs } = found
  const running = jobs.find(({ state }) => state === 'running')
  if (count === 0 && !more) return nothing(found, visit)
  const n = numberOf(count, more)
  const isDead = filter.delivery === 'dead'
  // Events are counted, of which each has one dead letter of a handler, and may have several of all.
  const what = isDead && filter.handler !== undefined ? 'dead letter' : 'event'
  return html`<div class="head"><div><h1>Replay ${own(`${n} ${what}${count === 1 && !more ? '' : 's'}${isDead && filter.handler === undefined ? ' with dead letters' : ''}${count === 0 ? ' that match' : ''}`)}${meant.handler === undefined ? NOTHING : html` to ${show(meant.handler, 60)}`}?</h1>${meant.q === '' ? NOTHING : html`<p>All that match <code>${show(meant.q, 300)}</code></p>`}</div></div>
${question(
  visit,
  '/console/replay',
  meant,
  html`<input type="hidden" name="key" value="${own(newUid())}"><ul class="steps">${steps(found, visit, ports)}</ul>
${when(count > 0, () => samples(count === 1 ? 'The event' : `The first ${whole(found.events.length)}, oldest first`, sampleRows(found), visit))}
${
  running !== undefined
    ? html`<p class="note" role="status">A replay of the same is running already: <a href="/console/replays/${own(running.id)}">see how far it is</a>.</p>`
    : controls(found, visit, ports)
}`,
)}`
}

const CHECKED = html` checked`

function controls({ meant, filter, count, more }: Preview, visit: Visit, ports: ConsolePorts): Html {
  const cancel = html`<a class="btn" href="${own(originOf(meant))}">Cancel</a>`
  if (!visit.mayChange) return html`<div class="bar">${cancel}</div>`
  const isProbe = visit.query.get('probe') === 'on'
  return html`${when(filter.delivery === undefined && meant.handler === undefined, () => toField(ports))}
${when(count !== 1 || more, () => html`<label class="radio"><input type="checkbox" name="probe"${when(isProbe, () => CHECKED)}> Replay one first, as a probe: the others follow only if it succeeds</label>`)}
<div class="bar spread"><div class="bar">${rateField()}<span class="small muted">${own(durationOf(count, more))}</span></div>
<div class="bar">${cancel}<button class="btn go" type="submit" data-key="r">Replay ${own(numberOf(count, more))}</button></div></div>`
}

/** In the time of the page none may have been found yet. */
const numberOf = (count: number, more: boolean): string => (count === 0 ? 'all' : capped({ count, more }))

const durationOf = (count: number, more: boolean): string => {
  const ms = (count / rateOf(undefined)) * 1_000
  return ms < 2_000 && !more ? 'takes a second or two' : `takes ${more ? 'more than' : 'about'} ${duration(ms)}`
}

const toField = ({ handlers }: ConsolePorts): Html =>
  html`<label class="field">Run <select name="to"><option value="">every handler that wants the event</option>${handlers()
    .slice(0, MAX_HANDLERS)
    .map(({ name }) => html`<option value="${own(name)}">only ${plain(name, 60)}</option>`)}</select></label>`

/** What will happen, and what to think of before. */
function steps(found: Preview, { nowMs }: Visit, ports: ConsolePorts): Html {
  const { meant, filter, events, count, paused } = found
  const oldest = Math.min(...events.map(({ receivedAtMs }) => receivedAtMs), nowMs)
  const gone = handlersOf(found).filter((name) => isGone(name, ports))
  return html`${runs(filter)}
${step('note', html`The oldest goes first, and new events go before them all. What came after ${time(meant.atMs, nowMs)} is left out.`)}
${when(count === 0, () => step('note', html`None was found in the time of this page, which did not look at all events. The replay does.`))}
${when(Object.keys(filter).length === 1, () => step('warning', html`These are <b>all events</b> of the store: nothing was searched for.`))}
${when(nowMs - oldest > STALE_MS, () => step('warning', html`The oldest came ${ago(oldest, nowMs)}, at ${time(oldest, nowMs)}. If a newer event of the same thing has been handled meanwhile, an old one may undo it.`))}
${paused.map(pausedStep)}
${gone.map((name) => step('warning', html`No running process has the handler <b>${show(name, 60)}</b>: its deliveries are skipped, and stay as they are.`))}`
}

/** The handlers that are known to run: the named one, or those of the events that the page shows. */
const handlersOf = ({ filter: { handler, delivery }, deliveries }: Preview): readonly string[] => {
  if (handler !== undefined) return [handler]
  if (delivery === undefined) return []
  return [...new Set(deliveries.filter((each) => each.state === STATES[delivery]).map((each) => each.handler))]
}

function runs({ delivery, handler }: ReplayFilter): Html {
  const name = handler === undefined ? NOTHING : html`<b>${show(handler, 60)}</b>`
  const others = html`What has succeeded is not run again.`
  switch (delivery ?? 'all') {
    case 'dead':
      return step(
        'replayed',
        handler === undefined
          ? html`Runs each handler whose delivery is dead. ${others}`
          : html`Runs ${name} only. ${others}`,
      )
    case 'discarded':
      return step(
        'replayed',
        html`Runs what was discarded${handler === undefined ? NOTHING : html`, to ${name}`}. ${others}`,
      )
    case 'waiting':
      return step(
        'replayed',
        html`Tries at once what waits for another attempt, with all its attempts again. ${others}`,
      )
    case 'all':
      return step(
        'warning',
        handler === undefined
          ? html`Runs every handler that wants the event now, <b>also those that have succeeded</b>: what they do is done a second time.`
          : html`Runs ${name} only, <b>also where it has succeeded</b>: what it does is done a second time.`,
      )
  }
}

const STATES = { dead: 'dead', discarded: 'discarded', waiting: 'pending' }

const sampleRows = ({ events, deliveries, filter: { delivery, handler } }: Preview): readonly Sample[] =>
  events.map(({ uid, type, receivedAtMs }) => ({
    uid,
    type,
    atMs: receivedAtMs,
    says: deliveriesInWords(
      deliveries.filter(({ eventUid }) => eventUid === uid),
      delivery === undefined
        ? undefined
        : (each) => each.state === STATES[delivery] && (handler ?? each.handler) === each.handler,
    ),
  }))

function nothing({ meant, jobs }: Preview, { nowMs }: Visit): Html {
  const [last] = jobs
  const took =
    last === undefined
      ? NOTHING
      : html` <a href="/console/replays/${own(last.id)}">A replay</a>${last.by === undefined ? NOTHING : html` by ${show(last.by, 80)}`} took ${own(whole(last.replayed))} of them at ${time(last.createdAtMs, nowMs)}, ${ago(last.createdAtMs, nowMs)}.`
  return html`<div class="head"><h1>Nothing to replay</h1></div><p>${own(meant.cause === undefined ? 'No event matches.' : 'Nothing is dead of this any more.')}${took}</p><p><a class="btn" href="${own(originOf(meant))}">Back</a></p>`
}
