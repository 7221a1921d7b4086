import { type ErrorCode, HoldfastError, isHoldfastError } from '../../../domain/errors.ts'
import type { EventDetail } from '../../../domain/event-store.ts'
import { isUid, newUid } from '../../../domain/names.ts'
import { noteChange, noteNoChange } from '../../ops/audit.ts'
import { again, live } from '../html/again.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { counted, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { Recent } from '../recent.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { MAX_SELECTED, type Meant, meantBy, meantFields, originOf } from './meant.ts'
import { deliveriesInWords, samples, step } from './samples.ts'

/** How long a form that is sent again is known, and how many forms. */
const KNOWN_MS = 3_600_000
const MAX_KNOWN = 1_000
const DELAY_SECONDS = 1

/** The selected events that are there. */
export async function selected(
  { uids }: Meant,
  { store }: Pick<ConsolePorts, 'store'>,
): Promise<readonly EventDetail[]> {
  const found = await Promise.all(uids.map(async (uid) => store.event(uid)))
  return found.filter((event) => event !== undefined)
}

export const deadOf = ({ deliveries }: EventDetail, handler?: string): EventDetail['deliveries'] =>
  deliveries.filter((each) => each.state === 'dead' && (handler ?? each.handler) === each.handler)

/** Replays of selected events, one by one. */
export function registerSelection(routes: ConsoleRoutes, ports: ConsolePorts): void {
  const { store, replay } = ports
  /** By the key in the form: a form that is sent twice replays once. */
  const sentBefore = new Recent<string>(KNOWN_MS, MAX_KNOWN)

  routes.form('/replay/selected', 'event.replay', async ({ fields, field, nowMs, request }) => {
    const meant = meantBy(fields, nowMs)
    const key = field('key') ?? newUid()
    let isFirst = false
    const to = await sentBefore.of(key, () => {
      isFirst = true
      return replayAll(meant, field('which') ?? 'all', (count) =>
        noteChange(request, { target: `${meant.uids.length} selected: ${meant.uids.join(' ')}`, count }),
      )
    })
    if (!isFirst) noteNoChange(request)
    return to
  })

  /** Resolves with the page that says what became of them. */
  async function replayAll(meant: Meant, which: string, onDone: (count: number) => void): Promise<string> {
    if (meant.uids.length === 0) throw new HoldfastError('invalid_request', 'no event is selected')
    const url = new URLSearchParams()
    let replayed = 0
    onDone(replayed)
    for (const uid of meant.uids) {
      const fault = await replayOne(uid, which, meant.handler)
      if (fault === undefined) onDone(++replayed)
      url.append(fault === undefined ? 'uid' : 'not', fault === undefined ? uid : `${uid}:${fault}`)
    }
    return `/console/replay/selected?${url.toString()}`
  }

  /** Resolves with why it was not replayed. */
  async function replayOne(uid: string, which: string, handler: string | undefined): Promise<Fault | undefined> {
    try {
      const event = await store.event(uid)
      if (event === undefined) return 'event_not_found'
      const targets = which === 'dead' ? deadOf(event, handler).map((each) => each.handler) : [handler]
      if (targets.length === 0) return 'nothing_dead'
      let running = 0
      for (const target of targets) running += (await replay(uid, target)).handlers.length
      return running === 0 ? 'not_wanted' : undefined
    } catch (error) {
      if (!isHoldfastError(error)) throw error
      return isFault(error.code) ? error.code : 'other'
    }
  }

  const results = async (visit: Visit): Promise<Html> => {
    const uids = visit.query.getAll('uid').filter(isUid).slice(0, MAX_SELECTED)
    const events = await selected({ ...meantBy(() => [], visit.nowMs), uids }, ports)
    return resultsOf(events, visit)
  }
  routes.page('/replay/selected', async (visit) => ({
    section: 'events',
    title: 'Replayed',
    content: html`<div class="sheet" id="selected">${await results(visit)}</div>`,
  }))
  routes.part('/replay/selected', results)
}

const FAULTS = {
  event_not_found: 'It is not here: it may be older than the service keeps.',
  nothing_dead: 'None of its deliveries is dead any more.',
  not_wanted: 'No handler wants it now, or its deliveries wait or run already.',
  handler_not_found: 'The handler does not want it now.',
  body_corrupt: 'Its stored bytes are damaged.',
  conflict: 'Its source is not configured any more.',
  unavailable: 'The store was away: try again.',
  other: 'It could not be replayed.',
} as const satisfies Partial<Record<ErrorCode | 'nothing_dead' | 'not_wanted' | 'other', string>>
type Fault = keyof typeof FAULTS
const isFault = (code: string): code is Fault => Object.hasOwn(FAULTS, code)

/** Asks which deliveries of the selected events are to run again. */
export async function askSelection(visit: Visit, meant: Meant, ports: ConsolePorts): Promise<Html> {
  const events = await selected(meant, ports)
  const count = events.length
  if (count === 0)
    return html`<div class="head"><h1>Nothing to replay</h1></div><p>The selected events are not here: they may be older than the service keeps.</p><p><a class="btn" href="${own(originOf(meant))}">Back</a></p>`
  const dead = events.filter((event) => deadOf(event, meant.handler).length > 0).length
  const missing = meant.uids.length - count
  const rows = events.map((event) => ({
    uid: event.uid,
    type: event.type,
    atMs: event.receivedAtMs,
    says: deliveriesInWords(event.deliveries),
  }))
  return html`<div class="head"><h1>Replay ${own(counted(count, 'selected event'))}?</h1></div>
<form class="card pad stack" method="post" action="/console/replay/selected">${meantFields(meant, visit)}<input type="hidden" name="key" value="${own(newUid())}">
<fieldset><legend>Which deliveries run again?</legend>
${when(dead > 0, () => html`<label class="radio"><input type="radio" name="which" value="dead"${when(dead > 0, () => CHECKED)}> Those that are dead${meant.handler === undefined ? NOTHING : html`, to ${show(meant.handler, 60)}`}: of ${own(dead === count ? (count === 1 ? 'it' : `all ${count}`) : `${whole(dead)} of them`)}. What has succeeded is not run again.</label>`)}
<label class="radio"><input type="radio" name="which" value="all"${when(dead === 0, () => CHECKED)}> ${meant.handler === undefined ? html`Every handler that wants the event` : html`The handler ${show(meant.handler, 60)}`}, also where it has succeeded: what it does is done a second time.</label></fieldset>
${when(missing > 0, () => html`<ul class="steps">${step('warning', html`${own(counted(missing, 'selected event'))} ${own(missing === 1 ? 'is' : 'are')} not here any more.`)}</ul>`)}
${samples(counted(count, 'selected event'), rows, visit)}
<div class="bar"><a class="btn" href="${own(originOf(meant))}">Cancel</a>${when(visit.mayChange, () => html`<button class="btn go" type="submit">Replay ${own(whole(count))}</button>`)}</div></form>`
}

const CHECKED = html` checked`

function resultsOf(events: readonly EventDetail[], visit: Visit): Html {
  const { query, nowMs } = visit
  const nots = query.getAll('not').slice(0, MAX_SELECTED).flatMap(notOf)
  const all = events.length + nots.length
  const isOpen = events.some(({ deliveries }) =>
    deliveries.some(({ state: now, attempts }) => now === 'running' || (now === 'pending' && attempts === 0)),
  )
  const rows = events.map(({ uid, type, deliveries, outcome = 'none' }) => ({
    uid,
    type,
    atMs: nowMs,
    outcome,
    deliveries,
  }))
  return html`<div><p class="crumb"><a href="/console/events">Events</a></p><div class="head"><h1>${own(nots.length === 0 ? `Replayed ${counted(all, 'event')}` : `Replayed ${whole(events.length)} of ${counted(all, 'event')}`)}</h1>${when(
    isOpen,
    () => html`${live('Live')}${asking(query, nowMs)}`,
  )}</div></div>
${when(
  events.length > 0,
  () =>
    html`<div class="card"><table class="stackable" role="table"><caption class="hide">What became of them</caption><tbody role="rowgroup">${rows.map(
      ({ uid, type, outcome, deliveries }) =>
        html`<tr role="row" id="e-${own(uid)}"><td role="cell">${state(outcome, own(outcome === 'none' ? 'no handler' : outcome))}</td><td role="cell"><a class="row" href="/console/events/${own(uid)}">${show(type, 80)}</a></td><td role="cell" class="small wide">${deliveriesInWords(deliveries)}</td></tr>`,
    )}</tbody></table></div>`,
)}
${when(
  nots.length > 0,
  () =>
    html`<section class="card pad stack" aria-labelledby="not"><h2 id="not">Not replayed: ${own(whole(nots.length))}</h2><ul class="steps">${nots.map(({ uid, fault }) => step('warning', html`<a class="mono" href="/console/events/${own(uid)}">…${own(uid.slice(-6))}</a> ${own(FAULTS[fault])}`))}</ul></section>`,
)}
<p class="muted small">As of ${time(nowMs, nowMs)} UTC.</p>`
}

/** `<uid>:<why>`. */
function notOf(text: string): readonly { readonly uid: string; readonly fault: Fault }[] {
  const [uid = '', fault = ''] = text.split(':')
  return isUid(uid) && isFault(fault) ? [{ uid, fault }] : []
}

/** Only what the page has understood: nothing else of a URL stands in what the page asks for. */
function asking(query: URLSearchParams, nowMs: number): Html {
  const same = new URLSearchParams()
  for (const uid of query.getAll('uid').filter(isUid).slice(0, MAX_SELECTED)) same.append('uid', uid)
  for (const { uid, fault } of query.getAll('not').slice(0, MAX_SELECTED).flatMap(notOf))
    same.append('not', `${uid}:${fault}`)
  return again({
    path: `/console/part/replay/selected?${same.toString()}`,
    into: 'selected',
    seconds: DELAY_SECONDS,
    nowMs,
  })
}
