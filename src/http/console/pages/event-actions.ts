import { HoldfastError } from '../../../domain/errors.ts'
import type { EventDetail } from '../../../domain/event-store.ts'
import type { HandlerDefinition } from '../../../domain/handler.ts'
import { inWords, noteChange, noteNoChange } from '../../ops/audit.ts'
import { uidOf } from '../../ops/events.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { plain, show } from '../html/show.ts'
import { counted } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Sent, Visit } from '../routes.ts'
import { searchOf } from './event-neighbours.ts'

/** Handlers that a person may choose from. */
const MAX_CHOICES = 50

/** The forms that replay an event or discard its dead deliveries. */
export function registerEventActions(routes: ConsoleRoutes, { store, replay }: ConsolePorts): void {
  routes.form('/events/:uid/replay', 'event.replay', async (sent) => {
    const { request, field } = sent
    const uid = uidOf({ uid: sent.params.uid ?? '' })
    const handler = filled(field('handler'))
    noteChange(request, { target: `${uid} ${inWords({ handler, state: filled(field('state')) })}` })
    const handlers = field('state') === 'dead' ? await deadOf(uid) : [handler]
    let count = 0
    for (const each of handlers) {
      count += (await replay(uid, each)).handlers.length
      noteChange(request, { count })
    }
    return pathBack(uid, sent)
  })

  routes.form('/events/:uid/discard', 'event.discard', async (sent) => {
    const { request, field } = sent
    const uid = uidOf({ uid: sent.params.uid ?? '' })
    const handler = filled(field('handler'))
    noteChange(request, { target: `${uid} ${inWords({ handler })}` })
    const handlers = await store.discardOf(uid, handler)
    if (handlers.length > 0) noteChange(request, { count: handlers.length })
    else noteNoChange(request)
    return pathBack(uid, sent)
  })

  async function deadOf(uid: string): Promise<readonly string[]> {
    const event = await store.event(uid)
    if (event === undefined) throw new HoldfastError('event_not_found', `there is no event ${uid}`)
    return event.deliveries.filter(({ state }) => state === 'dead').map(({ handler }) => handler)
  }
}

const filled = (text: string | undefined): string | undefined => (text === '' ? undefined : text)

/** The page of the event, still reached by the search that the page was reached by. */
function pathBack(uid: string, { request }: Sent): string {
  const query = searchOf(URL.parse(request.headers.referer ?? '')?.searchParams)
  return `/console/events/${uid}${query === '' ? '' : `?${query}`}`
}

/** What a person may do with the event; to those who may only read, nothing. */
export function actions(visit: Visit, event: EventDetail, handlers: readonly HandlerDefinition[]): Html {
  if (!visit.mayChange) return NOTHING
  const dead = event.deliveries.filter(({ state }) => state === 'dead')
  const form = (verb: string, content: Html): Html =>
    html`<form class="bar" method="post" action="/console/events/${own(event.uid)}/${own(verb)}">${csrfField(visit.frame)}${content}</form>`
  return html`${form('replay', replayButton(event))}${when(dead.length > 0, () => form('discard', html`<button class="btn" type="submit">Discard${own(dead.length > 1 ? ` ${dead.length}` : '')}</button>`))}${chooser(event, handlers, form)}`
}

/** To the handler that failed, to all that failed, or to all. */
function replayButton({ deliveries }: EventDetail): Html {
  const dead = deliveries.filter(({ state }) => state === 'dead')
  if (dead.length === 0) return html`<button class="btn" type="submit" data-key="r">Replay</button>`
  const [first] = dead
  if (dead.length === 1 && first !== undefined)
    return html`<input type="hidden" name="handler" value="${own(first.handler)}"><button class="btn go" type="submit" data-key="r"><span>Replay to ${show(first.handler, 40)}</span></button>`
  return html`<input type="hidden" name="state" value="dead"><button class="btn go" type="submit" data-key="r">Replay to the ${own(counted(dead.length, 'handler'))} that failed</button>`
}

function chooser(
  { uid, source, deliveries }: EventDetail,
  handlers: readonly HandlerDefinition[],
  form: (verb: string, content: Html) => Html,
): Html {
  const known = new Map(deliveries.map(({ handler, state }) => [handler, `: ${state}`]))
  const others = handlers.filter((each) => each.source === undefined || each.source === source)
  const names = [...new Set([...known.keys(), ...others.map(({ name }) => name)])].slice(0, MAX_CHOICES)
  if (names.length === 0) return NOTHING
  return html`<details class="menu" id="replay-to"><summary class="btn">Replay to another…</summary>${form(
    'replay',
    html`<label class="field" for="handler">Handler</label><select id="handler" name="handler"><option value="">all that want it</option>${names.map((name) => html`<option value="${own(name)}">${plain(name, 60)}${own(known.get(name) ?? '')}</option>`)}</select><button class="btn go" type="submit">Replay</button>`,
  )}<p class="small muted">A handler that has succeeded runs again, with the same uid ${own(`…${uid.slice(-6)}`)}.</p></details>`
}
