import { HoldfastError } from '../../../domain/errors.ts'
import { MAX_PAUSE_REASON, type Pause, type PausedKind } from '../../../domain/pause.ts'
import { pauseOne, resumeOne } from '../../ops/pauses.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'

/** The page of a source or of a handler. */
export const pathOf = (kind: PausedKind, name: string): string => `/console/${kind}s/${encodeURIComponent(name)}`

/** The forms that pause and resume; `names`: what there is. */
export function registerPausing(
  routes: ConsoleRoutes,
  kind: PausedKind,
  names: () => readonly string[],
  { pauses }: ConsolePorts,
): void {
  const path = `/${kind}s/:name`
  const pausable = { pauses, kind, names }
  routes.form(`${path}/pause`, `${kind}.pause`, async ({ request, params: { name = '' }, field }) => {
    const reason = field('reason')?.trim() || undefined
    if (reason !== undefined && reason.length > MAX_PAUSE_REASON)
      throw new HoldfastError('invalid_request', `the reason is longer than ${MAX_PAUSE_REASON} characters`)
    await pauseOne(request, pausable, name, reason)
    return pathOf(kind, name)
  })
  routes.form(`${path}/resume`, `${kind}.resume`, async ({ request, params: { name = '' } }) => {
    await resumeOne(request, pausable, name)
    return pathOf(kind, name)
  })
}

/** The button that ends a pause; nothing if there is none, or for those who may only read. */
export function resuming(kind: PausedKind, name: string, pause: Pause | undefined, { mayChange, frame }: Visit): Html {
  if (pause === undefined || !mayChange) return NOTHING
  return html`<form method="post" action="${own(pathOf(kind, name))}/resume">${csrfField(frame)}<button class="btn go" type="submit">Resume</button></form>`
}

/** The form that begins a pause; nothing while it is paused, or for those who may only read. */
export function pausing(kind: PausedKind, name: string, pause: Pause | undefined, { mayChange, frame }: Visit): Html {
  if (pause !== undefined || !mayChange) return NOTHING
  return html`<form class="card pad stack" method="post" action="${own(pathOf(kind, name))}/pause">${csrfField(frame)}<h2>Pause it</h2>
<p>${own(kind === 'handler' ? 'Its deliveries wait until it is resumed' : 'The deliveries of its events wait until it is resumed')}. Events are acknowledged and stored as ever, and all replicas follow within a second.</p>
<div class="bar"><label class="field whole grow">Reason <input name="reason" maxlength="${MAX_PAUSE_REASON}" autocomplete="off"></label><button class="btn" type="submit">Pause</button></div></form>`
}
