import { HoldfastError } from '../../../domain/errors.ts'
import { MAX_PAUSE_REASON, type Pause, type PausedKind } from '../../../domain/pause.ts'
import { askedBy } from '../../ops/audit.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { ago, time } from '../html/words.ts'
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
  routes.form(`${path}/pause`, `${kind}.pause`, async ({ request, params: { name = '' }, field }) => {
    if (!names().includes(name))
      throw new HoldfastError(
        kind === 'handler' ? 'handler_not_found' : 'unknown_source',
        `there is no ${kind} ${name}`,
      )
    const reason = field('reason')?.trim()
    if (reason !== undefined && reason.length > MAX_PAUSE_REASON)
      throw new HoldfastError('invalid_request', `the reason is longer than ${MAX_PAUSE_REASON} characters`)
    await pauses.pause({ kind, name, by: askedBy(request), ...(reason !== undefined && reason !== '' && { reason }) })
    return pathOf(kind, name)
  })
  routes.form(`${path}/resume`, `${kind}.resume`, async ({ params: { name = '' } }) => {
    await pauses.resume(kind, name)
    return pathOf(kind, name)
  })
}

/** Whether it is paused, by whom and why, with the form that changes it. */
export function pausing(
  kind: PausedKind,
  name: string,
  pause: Pause | undefined,
  { nowMs, mayChange, frame }: Visit,
): Html {
  const path = pathOf(kind, name)
  const what = kind === 'handler' ? 'its deliveries wait' : 'its deliveries wait, and its events are still acknowledged'
  if (pause !== undefined)
    return html`<div class="card pad bar spread"><p>${state('paused', own('paused'))} by ${show(pause.by, 60)} at ${time(pause.sinceMs, nowMs)} UTC, ${ago(pause.sinceMs, nowMs)}${pause.reason === undefined ? NOTHING : html`: ${show(pause.reason, 256)}`}. ${own(`${what[0]?.toUpperCase()}${what.slice(1)}.`)}</p>${mayChange ? html`<form method="post" action="${own(path)}/resume">${csrfField(frame)}<button class="btn go" type="submit">Resume</button></form>` : NOTHING}</div>`
  if (!mayChange) return NOTHING
  return html`<details class="card pad"><summary>Pause: ${own(what)}</summary><form class="bar" method="post" action="${own(path)}/pause">${csrfField(frame)}<label class="field grow">Reason <input name="reason" maxlength="${MAX_PAUSE_REASON}"></label><button class="btn stop" type="submit">Pause</button></form></details>`
}
