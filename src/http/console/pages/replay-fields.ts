import { HoldfastError } from '../../../domain/errors.ts'
import type { Pause } from '../../../domain/pause.ts'
import type { ReplayFilter } from '../../../domain/replay-jobs.ts'
import { type Html, html, own, when } from '../html/html.ts'
import { show } from '../html/show.ts'
import type { ConsolePorts } from '../ports.ts'
import type { Visit } from '../routes.ts'
import type { whyGone } from './gone.ts'
import { askedOf, bulkUrl, type Meant, originOf } from './meant.ts'
import { step } from './samples.ts'

const DEFAULT_PER_SECOND = 50
const MAX_PER_SECOND = 1_000

export const rateField = (): Html =>
  html`<label class="field">At most <input type="number" name="per_second" value="${DEFAULT_PER_SECOND}" min="1" max="${MAX_PER_SECOND}" required> a second</label>`

/** Throws `invalid_request`. */
export function rateOf(text: string | undefined): number {
  const perSecond = text === undefined ? DEFAULT_PER_SECOND : Number(text)
  if (!Number.isInteger(perSecond) || perSecond < 1 || perSecond > MAX_PER_SECOND)
    throw new HoldfastError('invalid_request', `a rate from 1 to ${MAX_PER_SECOND} events a second is expected`)
  return perSecond
}

/** In place of the question: a replay would not change anything. */
export function due({ source }: ReplayFilter, meant: Meant, { pauses }: ConsolePorts): Html {
  const held = pauses.list().filter(({ kind, name }) => kind === 'handler' || (source ?? name) === name)
  return html`<div class="head"><div><h1>They are due already</h1><p>What is pending runs as soon as it can: a replay would not change anything.</p></div></div>
<ul class="steps">${held.map(pausedStep)}</ul>
<p><a class="btn" href="${own(originOf(meant))}">Back</a></p>`
}

export const pausedStep = ({ kind, name }: Pause): Html =>
  step(
    'paused',
    html`The ${own(kind)} <a href="/console/${own(kind)}s/${own(encodeURIComponent(name))}">${show(name, 60)}</a> is paused: its deliveries wait until somebody resumes it.`,
  )

/** In place of the question: there is nothing that could run. */
export const cannotRun = (
  { what, mending }: NonNullable<ReturnType<typeof whyGone>>,
  meant: Meant,
  { mayChange }: Visit,
): Html =>
  html`<div class="head"><div><h1>They cannot run now</h1><p>${what}</p></div></div>
<p>${mending} to replay what is dead${when(mayChange, () => html`, or discard it`)}. Its events stay as long as the service keeps them.</p>
<p class="bar"><a class="btn" href="${own(originOf(meant))}">Back</a>${when(
    mayChange && meant.cause !== undefined,
    () => html`<a class="btn" href="${own(bulkUrl('discard', askedOf(meant)))}">Discard…</a>`,
  )}</p>`
