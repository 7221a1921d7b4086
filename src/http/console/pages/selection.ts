import type { DeliverySummary } from '../../../domain/delivery.ts'
import { type ErrorCode, HoldfastError, isHoldfastError } from '../../../domain/errors.ts'
import type { EventDetail } from '../../../domain/event-store.ts'
import { isUid, newUid } from '../../../domain/names.ts'
import { type AuditNote, inWords, noteChanges, noteNoChange } from '../../ops/audit.ts'
import { again, live, onceMore } from '../html/again.ts'
import { between, type Html, html, NOTHING, own, when } from '../html/html.ts'
import { state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { counted, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { Recent } from '../recent.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { wordOfOutcome } from './event-list.ts'
import { followSeconds, holdsOf } from './event-story.ts'
import { MAX_SELECTED, type Meant, meantBy, originOf, type Picked, question } from './meant.ts'
import { pausedStep } from './replay-fields.ts'
import { deliveriesInWords, samples, step } from './samples.ts'

/** How long a form that is sent again is known, and how many forms. */
const KNOWN_MS = 3_600_000
const MAX_KNOWN = 1_000
const DELAY_SECONDS = 1

/** The selected events that are there. */
export async function selected(
  { picked }: Pick<Meant, 'picked'>,
  { store }: Pick<ConsolePorts, 'store'>,
): Promise<readonly EventDetail[]> {
  const uids = new Set(picked.map(({ uid }) => uid))
  const found = await Promise.all([...uids].map(async (uid) => store.event(uid)))
  return found.filter((event) => event !== undefined)
}

/** The dead ones of the deliveries that are selected. */
export const deadOf = (
  { uid, deliveries }: EventDetail,
  { picked }: Pick<Meant, 'picked'>,
): EventDetail['deliveries'] => {
  const isPicked = (handler: string): boolean =>
    picked.some((each) => each.uid === uid && (each.handler ?? handler) === handler)
  return deliveries.filter((each) => each.state === 'dead' && isPicked(each.handler))
}

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
      return replayAll(meant, field('which') ?? 'all', (changes) => noteChanges(request, changes))
    })
    if (!isFirst) noteNoChange(request)
    return to
  })

  /** Resolves with the page that says what became of them. */
  async function replayAll(
    { picked }: Meant,
    which: string,
    onChange: (changes: readonly AuditNote[]) => void,
  ): Promise<string> {
    if (picked.length === 0) throw new HoldfastError('invalid_request', 'no event is selected')
    const url = new URLSearchParams()
    const changes: AuditNote[] = []
    onChange(changes)
    for (const each of picked) {
      const { uid, handler } = each
      const ran = await replayOne(each, which)
      if (typeof ran === 'number') {
        changes.push({
          target: `${uid} ${inWords({ handler, state: which === 'dead' ? which : undefined })}`,
          count: ran,
        })
        if (!url.has('uid', uid)) url.append('uid', uid)
      } else url.append('not', `${uid}:${ran}`)
    }
    return `/console/replay/selected?${url.toString()}`
  }

  /** Resolves with the number of handlers that run, or with why none does. */
  async function replayOne(each: Picked, which: string): Promise<number | Fault> {
    const { uid, handler } = each
    try {
      const event = await store.event(uid)
      if (event === undefined) return 'event_not_found'
      const targets = which === 'dead' ? deadOf(event, { picked: [each] }).map((dead) => dead.handler) : [handler]
      if (targets.length === 0) return 'nothing_dead'
      let running = 0
      for (const target of targets) running += (await replay(uid, target)).handlers.length
      return running === 0 ? 'not_wanted' : running
    } catch (error) {
      if (!isHoldfastError(error)) throw error
      return isFault(error.code) ? error.code : 'other'
    }
  }

  const results = async (visit: Visit, last: () => Html): Promise<Html> => {
    const uids = visit.query.getAll('uid').filter(isUid).slice(0, MAX_SELECTED)
    const events = await selected({ picked: uids.map((uid) => ({ uid })) }, ports)
    return resultsOf(events, visit, ports, last)
  }
  routes.page('/replay/selected', async (visit) => ({
    section: 'events',
    title: 'Replayed',
    content: html`<div class="sheet" id="selected">${await results(visit, () => NOTHING)}</div>`,
  }))
  routes.part('/replay/selected', (visit) => results(visit, () => onceMore(partOf(visit), visit.query)))
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
  const handlers = [...new Set(meant.picked.flatMap(({ handler = [] }) => handler))]
  const isByHandler = handlers.length > 0
  const dead = events.map((event) => deadOf(event, meant).length)
  const count = isByHandler ? dead.reduce((sum, each) => sum + each, 0) : events.length
  if (count === 0)
    return html`<div class="head"><h1>Nothing to replay</h1></div><p>${own(events.length === 0 ? 'The selected events are not here: they may be older than the service keeps.' : 'Nothing that is selected is dead any more.')}</p><p><a class="btn" href="${own(originOf(meant))}">Back</a></p>`
  const what = `selected ${isByHandler ? 'dead letter' : 'event'}`
  const missing = meant.picked.length - count
  const runs = (event: EventDetail): readonly DeliverySummary[] =>
    isByHandler ? deadOf(event, meant) : event.deliveries
  const held = ports.pauses
    .list()
    .filter(({ kind, name }) => events.some((event) => runs(event).some((each) => each[kind] === name)))
  const rows = events.map((event) => ({
    uid: event.uid,
    type: event.type,
    atMs: event.receivedAtMs,
    says: deliveriesInWords(
      event.deliveries,
      isByHandler ? ({ handler }) => deadOf(event, meant).some((each) => each.handler === handler) : undefined,
    ),
  }))
  return html`<div class="head"><h1>Replay ${own(counted(count, what))}?</h1></div>
${question(
  visit,
  '/console/replay/selected',
  meant,
  html`${isByHandler ? onlyDead(handlers) : when(visit.mayChange, () => whichField(dead.filter((each) => each > 0).length, count))}
${when(missing > 0, () => html`<ul class="steps">${step('warning', html`${own(counted(missing, what))} ${own(missing === 1 ? 'is' : 'are')} not ${own(isByHandler ? 'dead' : 'here')} any more.`)}</ul>`)}
${when(held.length > 0, () => html`<ul class="steps">${held.map(pausedStep)}</ul>`)}
${samples(counted(events.length, 'selected event'), rows, visit)}
<div class="bar"><a class="btn" href="${own(originOf(meant))}">Cancel</a>${when(visit.mayChange, () => html`<input type="hidden" name="key" value="${own(newUid())}"><button class="btn go" type="submit">Replay ${own(whole(count))}</button>`)}</div>`,
)}`
}

const onlyDead = (handlers: readonly string[]): Html =>
  html`<ul class="steps">${step(
    'replayed',
    html`Runs only what is selected and dead: ${between(
      handlers.map((name) => html`<b>${show(name, 60)}</b>`),
      html`, `,
    )}. What has succeeded is not run again.`,
  )}</ul><input type="hidden" name="which" value="dead">`

const whichField = (dead: number, count: number): Html =>
  html`<fieldset><legend>Which deliveries run again?</legend>
${when(dead > 0, () => html`<label class="radio"><input type="radio" name="which" value="dead" checked> Those that are dead: of ${own(dead === count ? (count === 1 ? 'it' : `all ${count}`) : `${whole(dead)} of them`)}. What has succeeded is not run again.</label>`)}
<label class="radio"><input type="radio" name="which" value="all"${when(dead === 0, () => CHECKED)}> Every handler that wants the event, also where it has succeeded: what it does is done a second time.</label></fieldset>`

const CHECKED = html` checked`

/** `last`: what asks again when nothing goes on any more. */
function resultsOf(events: readonly EventDetail[], visit: Visit, ports: ConsolePorts, last: () => Html): Html {
  const { query, nowMs } = visit
  const nots = query.getAll('not').slice(0, MAX_SELECTED).flatMap(notOf)
  const all = events.length + nots.length
  const isOpen = ({ deliveries }: EventDetail): boolean =>
    deliveries.some(({ state: now, attempts }) => now === 'running' || (now === 'pending' && attempts === 0))
  const waits = events
    .filter(isOpen)
    .map((event) => followSeconds({ event, nowMs, holds: holdsOf(event, ports) }) ?? DELAY_SECONDS)
  const rows = events.map(({ uid, type, deliveries, outcome = 'none' }) => ({
    uid,
    type,
    atMs: nowMs,
    outcome,
    deliveries,
  }))
  return html`<div><p class="crumb"><a href="/console/events">Events</a></p><div class="head"><h1>${own(nots.length === 0 ? `Replayed ${counted(all, 'event')}` : `Replayed ${whole(events.length)} of ${counted(all, 'event')}`)}</h1>${waits.length > 0 ? html`${live('Live')}${again({ ...partOf(visit), seconds: Math.min(...waits) })}` : last()}</div></div>
${when(
  events.length > 0,
  () =>
    html`<div class="card"><table class="stackable" role="table"><caption class="hide">What became of them</caption><tbody role="rowgroup">${rows.map(
      ({ uid, type, outcome, deliveries }) =>
        html`<tr role="row" id="e-${own(uid)}"><td role="cell">${state(outcome, own(wordOfOutcome(outcome)))}</td><td role="cell"><a class="row" href="/console/events/${own(uid)}">${show(type, 80)}</a></td><td role="cell" class="small wide">${deliveriesInWords(deliveries)}</td></tr>`,
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
function partOf({ query, nowMs }: Visit) {
  const same = new URLSearchParams()
  for (const uid of query.getAll('uid').filter(isUid).slice(0, MAX_SELECTED)) same.append('uid', uid)
  for (const { uid, fault } of query.getAll('not').slice(0, MAX_SELECTED).flatMap(notOf))
    same.append('not', `${uid}:${fault}`)
  return { path: `/console/part/replay/selected?${same.toString()}`, into: 'selected', nowMs }
}
