import { OTHER_CAUSES } from '../../../domain/cause.ts'
import type { DeadCause } from '../../../domain/dead-letters.ts'
import type { Attempt } from '../../../domain/delivery.ts'
import { HoldfastError } from '../../../domain/errors.ts'
import { isUid, newUid } from '../../../domain/names.ts'
import { noteChange, noteNoChange } from '../../ops/audit.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { mark } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { duration, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { Recent } from '../recent.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { bulkUrl } from './meant.ts'

/** Which dead letters a page is about: those of a handler and a source that have one cause. */
export type Group = Pick<DeadCause, 'handler' | 'source' | 'id'>

/** One dead letter of a group that was replayed, and what became of it. */
export interface Probed {
  readonly group: Group
  readonly uid: string
  readonly state: 'waits' | 'succeeded' | 'failed' | 'gone'
  readonly attempt?: Attempt
}

const KNOWN_MS = 3_600_000
const MAX_KNOWN = 1_000

/** The form that replays one dead letter of a group. */
export function registerProbe(routes: ConsoleRoutes, { store, replay }: ConsolePorts): void {
  const sentBefore = new Recent<string>(KNOWN_MS, MAX_KNOWN)

  routes.form('/dead/probe', 'event.replay', async ({ request, field }) => {
    const [handler = '', source = '', id = ''] = [field('handler'), field('source'), field('cause')]
    let isFirst = false
    const to = await sentBefore.of(field('key') ?? newUid(), async () => {
      isFirst = true
      const { items } = await store.deliveries({ state: 'dead', handler, source, cause: id }, { limit: 1 })
      const uid = items[0]?.eventUid
      if (uid === undefined) throw new HoldfastError('conflict', 'nothing is dead of this any more')
      noteChange(request, { target: `${uid} handler=${handler}` })
      const replayed = await replay(uid, handler)
      noteChange(request, { count: replayed.handlers.length })
      const only = field('only')
      return `/console/dead?${new URLSearchParams({
        ...(only !== undefined && { handler: only }),
        probe: uid,
        run: replayed.id ?? '',
        to: handler,
        source,
        cause: id,
      }).toString()}#probe`
    })
    if (!isFirst) noteNoChange(request)
    return to
  })
}

/** The probe that the URL names. */
export async function probedBy({ query }: Visit, { store }: ConsolePorts): Promise<Probed | undefined> {
  const value = (name: string): string => query.get(name) ?? ''
  const [uid, run] = [value('probe'), value('run')]
  if (!isUid(uid) || !isUid(run)) return undefined
  const group = { handler: value('to'), source: value('source'), id: value('cause') }
  const delivery = (await store.event(uid))?.deliveries.find(({ handler }) => handler === group.handler)
  if (delivery === undefined) return { group, uid, state: 'gone' }
  // The first attempt tells: the ones that did not end by the handler's own doing do not count.
  const attempt = delivery.history.find(
    ({ replay: of, outcome }) => of === run && outcome !== 'released' && outcome !== 'lease_lost',
  )
  if (attempt === undefined) return { group, uid, state: delivery.state === 'discarded' ? 'gone' : 'waits' }
  return { group, uid, attempt, state: attempt.outcome === 'succeeded' ? 'succeeded' : 'failed' }
}

export const isOf = ({ group }: Probed, { handler, source, id }: Group): boolean =>
  group.handler === handler && group.source === source && group.id === id

/** When the probe ended; `nowMs` while it waits. */
export const endedAtMs = ({ attempt }: Probed, nowMs: number): number =>
  attempt === undefined ? nowMs : endOf(attempt)

/** What became of the probe, and what follows. `rest`: how many are still dead, in words; undefined: none. */
export function probePanel(probed: Probed, rest: string | undefined, { nowMs, mayChange }: Visit): Html {
  const { uid, group, attempt } = probed
  const event = html`<a href="/console/events/${own(uid)}">…${own(uid.slice(-6))}</a>`
  const url = bulkUrl('replay', { handler: group.handler, source: group.source, cause: group.id })
  const after = mayChange
    ? when(
        rest !== undefined,
        () =>
          html`<div class="bar"><a class="btn go" href="${own(url)}">Replay the rest, ${own(rest ?? '')}…</a></div>`,
      )
    : NOTHING
  return html`<div class="ask" id="probe" role="status">${says(probed, event, nowMs)}${when(probed.state === 'succeeded', () => after)}${
    probed.state === 'failed' && attempt?.error !== undefined
      ? html`<p class="small"><code>${show(attempt.error, 200)}</code></p>`
      : NOTHING
  }</div>`
}

function says(probed: Probed, event: Html, nowMs: number): Html {
  const { state, attempt } = probed
  const at = time(endedAtMs(probed, nowMs), nowMs)
  switch (state) {
    case 'waits':
      return html`<p>${mark('running')} The probe ${event} waits for its attempt.</p>`
    case 'gone':
      return html`<p>${mark('note')} The probe ${event} is not there any more.</p>`
    case 'succeeded':
      return html`<p>${mark('succeeded')} The probe ${event} succeeded at ${at} in ${own(tookOf(attempt))}. The cause seems gone.</p>`
    case 'failed':
      return html`<p>${mark('dead')} The probe ${event} failed again at ${at}, after ${own(tookOf(attempt))}. ${own(causeNow(probed))}</p>`
  }
}

/** What the failure tells about the cause of the group. */
function causeNow({ attempt, group }: Probed): string {
  if (attempt?.outcome === 'retry_after') return 'Its handler asked for a later attempt.'
  if (attempt?.cause === group.id) return 'The cause is still there.'
  // Of the causes past the bounds, one cannot tell.
  return attempt?.cause === undefined || group.id === OTHER_CAUSES.id ? '' : 'This time it counts as another cause.'
}

const tookOf = (attempt: Attempt | undefined): string => duration(Math.max(1, attempt?.durationMs ?? 0))
const endOf = ({ startedAtMs, durationMs }: Attempt): number => startedAtMs + durationMs

/** Replays one of the group. `only`: the handler by which the page is filtered. */
export const probeForm = ({ handler, source, id }: Group, only: string, isLone: boolean, { frame }: Visit): Html =>
  html`<form method="post" action="/console/dead/probe">${csrfField(frame)}<input type="hidden" name="key" value="${own(newUid())}"><input type="hidden" name="handler" value="${own(handler)}"><input type="hidden" name="source" value="${own(source)}"><input type="hidden" name="cause" value="${own(id)}">${when(only !== '', () => html`<input type="hidden" name="only" value="${own(only)}">`)}<button class="btn" type="submit">${own(isLone ? 'Replay it' : 'Replay one, as a probe')}</button></form>`
