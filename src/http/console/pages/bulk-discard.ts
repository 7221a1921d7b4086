import type { DeadFilter } from '../../../domain/dead-letters.ts'
import { HoldfastError } from '../../../domain/errors.ts'
import { type AuditNote, inWords, noteChange, noteChanges, noteNoChange } from '../../ops/audit.ts'
import { discardAll } from '../../ops/dead.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import { show } from '../html/show.ts'
import { capped, counted, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { countFound, deadFoundBy, discardFound, unlessGone } from './discard-found.ts'
import { askedOf, bulkUrl, filterOf, type Meant, meantBy, originOf, question } from './meant.ts'
import { deliveriesInWords, type Sample, samples, step } from './samples.ts'
import { deadOf, selected } from './selection.ts'

const SAMPLES = 3
/** Dead letters that the page looks at before it says how many there are at least. */
const MAX_COUNTED = 10_000

export function registerBulkDiscard(routes: ConsoleRoutes, ports: ConsolePorts): void {
  const { store } = ports
  routes.page('/discard', async (visit): Promise<Page> => {
    const meant = meantBy((name) => visit.query.getAll(name), visit.nowMs)
    const found = meant.picked.length > 0 ? await ofSelection(meant, ports) : await ofFilter(meant, ports)
    return { section: 'dead', title: 'Discard', content: html`${discardedNote(visit)}${ask(meant, found, visit)}` }
  })

  routes.form('/discard', 'delivery.discard', async ({ request, nowMs, fields }) => {
    const meant = meantBy(fields, nowMs)
    const found = deadFoundBy(meant)
    const filter = found === undefined ? deadFilter(meant) : { ...found.filter, handler: found.handler }
    const target = inWords(filter)
    noteChange(request, { target })
    const onStep = (count: number): void => noteChange(request, { target, count })
    const { discarded, more } =
      found === undefined
        ? await discardAll(store, deadFilter(meant), onStep)
        : await discardFound(found, store, onStep)
    if (discarded === 0) noteNoChange(request)
    // Where one goes on with the same search.
    if (more && found !== undefined) return `${bulkUrl('discard', askedOf(meant))}&discarded=${discarded}&more=1`
    return doneUrl(discarded, more)
  })

  routes.form('/discard/selected', 'event.discard', async ({ request, nowMs, fields }) => {
    const { picked } = meantBy(fields, nowMs)
    if (picked.length === 0) throw new HoldfastError('invalid_request', 'nothing is selected')
    let discarded = 0
    const changes: AuditNote[] = []
    noteChanges(request, changes)
    for (const { uid, handler } of picked) {
      const { length: count } = await store.discardOf(uid, handler).catch(unlessGone)
      if (count > 0) changes.push({ target: `${uid} ${inWords({ handler })}`, count })
      discarded += count
    }
    return doneUrl(discarded, false)
  })
}

const doneUrl = (count: number, more: boolean): string => `/console/dead?discarded=${count}${more ? '&more=1' : ''}`

/** What the page says after a discard; its URL is how it knows. */
export function discardedNote({ query }: Visit): Html {
  const count = Number(query.get('discarded') ?? Number.NaN)
  if (!Number.isSafeInteger(count) || count < 0) return NOTHING
  const more = query.get('more') === '1' ? ' There are more: discard again.' : ''
  if (count === 0 && more !== '')
    return html`<p class="note" role="status">None was found in the time of one request, which did not look at all events. Say <code>source:</code>, <code>since:</code> or <code>until:</code> as well, so that there are fewer.</p>`
  return html`<p class="note" role="status">${own(`${counted(count, 'dead letter')} discarded.${more}`)}</p>`
}

interface Found {
  /** Of dead letters; with `isOfEvents`, of events that have some. */
  readonly count: number
  readonly isOfEvents?: true
  readonly more: boolean
  readonly rows: readonly Sample[]
}

async function ofFilter(meant: Meant, { store }: ConsolePorts): Promise<Found> {
  const found = deadFoundBy(meant)
  if (found !== undefined) {
    const { events, more, rows } = await countFound(found, store)
    return { count: events, isOfEvents: true, more, rows }
  }
  const { count, more, sample } = await store.matchDead(deadFilter(meant), SAMPLES, MAX_COUNTED)
  const rows = sample.map(({ eventUid, type, dueAtMs, handler, lastError = '' }) => ({
    uid: eventUid,
    type,
    atMs: dueAtMs,
    says: html`${show(handler, 40)} <span class="muted">${show(lastError, 100)}</span>`,
  }))
  return { count, more, rows }
}

async function ofSelection(meant: Meant, ports: ConsolePorts): Promise<Found> {
  const events = (await selected(meant, ports)).filter((event) => deadOf(event, meant).length > 0)
  return {
    count: events.reduce((sum, event) => sum + deadOf(event, meant).length, 0),
    more: false,
    rows: events.map((event) => ({
      uid: event.uid,
      type: event.type,
      atMs: event.receivedAtMs,
      says: deliveriesInWords(deadOf(event, meant)),
    })),
  }
}

/** Throws `invalid_request` if dead letters cannot be found by that. */
function deadFilter(meant: Meant): DeadFilter {
  const { contains, match, outcome, delivery: _, ...filter } = filterOf(meant)
  if (contains !== undefined || match !== undefined) throw new Error('what is in payloads is searched for by events')
  if (outcome !== undefined && outcome !== 'dead')
    throw new HoldfastError('invalid_request', 'only dead letters can be discarded: search for outcome:dead')
  return filter
}

function ask(meant: Meant, { count, isOfEvents, more, rows }: Found, visit: Visit): Html {
  const n = count === 0 ? 'all' : capped({ count, more })
  if (count === 0 && !more)
    return html`<div class="head"><h1>Nothing to discard</h1></div><p>No dead letter matches any more.</p><p><a class="btn" href="${own(originOf(meant))}">Back</a></p>`
  const isSelection = meant.picked.length > 0
  const isOne = count === 1 && !more
  const what = isOfEvents
    ? `the dead letters of ${count === 0 ? 'all events that match' : `${n} event${isOne ? '' : 's'}`}`
    : `${n} dead letter${isOne ? '' : 's'}${count === 0 ? ' that match' : ''}`
  return html`<div class="head"><div><h1>Discard ${own(what)}${meant.handler === undefined ? NOTHING : html` of ${show(meant.handler, 60)}`}?</h1>${meant.q === '' || isSelection ? NOTHING : html`<p>All that match <code>${show(meant.q, 300)}</code></p>`}</div></div>
${question(
  visit,
  `/console/discard${isSelection ? '/selected' : ''}`,
  meant,
  html`<ul class="steps">${step('discarded', html`They do not count as dead any more, and no handler runs.`)}${step('note', html`Their events stay as long as the service keeps them. They are found by <code>outcome:discarded</code> and can be replayed from there.`)}</ul>
${samples(isSelection ? counted(rows.length, 'event') : isOfEvents ? `The first ${counted(rows.length, 'event')}` : rows.length === 1 ? 'The one that died' : `The first ${whole(rows.length)} that died`, rows, visit)}
<div class="bar"><a class="btn" href="${own(originOf(meant))}">Cancel</a>${when(visit.mayChange, () => html`<button class="btn stop" type="submit">Discard ${own(isOfEvents ? 'them' : n)}</button>`)}</div>`,
)}`
}
