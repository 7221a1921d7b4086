import type { Origin } from '../../../domain/event.ts'
import { isExpiry, type Task } from '../../../domain/task.ts'
import { fitting } from '../html/budget.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import type { MarkName } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { bytes, counted, duration, time } from '../html/words.ts'
import { attemptsOf } from './event-attempts.ts'
import { type Delivery, type Hold, type Story, timeOfUid } from './event-story.ts'
import { type Moment, momentList, unread } from './moment-list.ts'
import { taskPath } from './task.ts'
import { questionMoments, times } from './task-questions.ts'

const MAX_REASON_BYTES = 4_000

/** What happened. `headersUrl` shows its headers. */
export function timeline(story: Story, headersUrl: string): Html {
  const { nowMs, event } = story
  const command = `holdfast events show ${event.uid}`
  return momentList(momentsOf(story, headersUrl), { nowMs, precision: 'milliseconds', command })
}

const momentsOf = (story: Story, headersUrl: string): readonly Moment[] => [
  arrival(story, headersUrl),
  ...verification(story),
  ...stored(story),
  ...notRun(story),
  ...sentAgain(story),
  ...(story.task === undefined ? [] : taskMoments(story.task, story)),
  ...replayMoments(story),
  ...story.event.deliveries.flatMap((delivery, place) => [
    ...attemptsOf(delivery, place, story),
    ...stateOf(delivery, place, story),
  ]),
]

const ARRIVALS: Readonly<Record<Origin, { readonly mark: MarkName; readonly words: string }>> = {
  webhook: { mark: 'received', words: 'Received and stored' },
  poll: { mark: 'asked', words: 'Made of the answer to a poll, and stored' },
  cli: { mark: 'received', words: 'Sent from the command line, and stored' },
  sample: { mark: 'received', words: 'Made as a sample, and stored' },
}

const EXPIRY = { mark: 'silent', words: 'Made at the deadline of its task, and stored' } as const

function arrival({ event }: Story, headersUrl: string): Moment {
  const { receivedFrom } = event
  const { receivedAtMs, origin, source, sizeBytes: size, headers } = event
  const { mark: name, words } = isExpiry(event) ? EXPIRY : ARRIVALS[origin]
  const by = when(origin === 'webhook', () => html`POST /v1/webhooks/${show(source, 60)} · `)
  return {
    id: 'm-arrival',
    atMs: receivedAtMs,
    mark: name,
    title: html`${receivedFrom === undefined ? own(words) : html`Received from ${show(receivedFrom, 60)}`}`,
    detail: () =>
      html`<p>${by}${own(bytes(size))} · <a href="${own(headersUrl)}">${own(counted(Object.keys(headers).length, 'header'))}</a></p>`,
  }
}

/** An event with deliveries; `notRun` tells of the others. The time of the acknowledgement itself is not kept. */
function stored({ event: { receivedFrom, deliveries, receivedAtMs } }: Story): readonly Moment[] {
  if (receivedFrom === undefined || deliveries.length === 0) return []
  return [
    {
      id: 'm-kept',
      atMs: receivedAtMs,
      mark: 'stored',
      title: html`Stored, and then acknowledged`,
    },
  ]
}

function verification({ event: { verifiedBy, receivedAtMs } }: Story): readonly Moment[] {
  if (verifiedBy === undefined) return []
  const { secret, of } = verifiedBy
  const older = when(secret > 1, () => html`<p>The provider does not sign by the newest secret yet.</p>`)
  return [
    {
      id: 'm-verified',
      atMs: receivedAtMs,
      mark: 'verified',
      title: html`Verified by secret ${secret} of ${of}`,
      detail: () => older,
    },
  ]
}

/** Its status, where that says more than its deliveries do. */
function notRun({ event: { deliveries, status, reasons, receivedAtMs } }: Story): readonly Moment[] {
  const isRun = deliveries.length > 0
  if (isRun && reasons.length === 0) return []
  const why = fitting(
    reasons.map((reason) => html`<p>${show(reason, 300)}</p>`),
    MAX_REASON_BYTES,
  )
  return [
    {
      id: 'm-stored',
      // A handler's process may have found it out.
      atMs: isRun ? undefined : receivedAtMs,
      mark: status === 'unhandled' ? 'none' : isRun ? 'note' : 'stored',
      title: html`${own(isRun ? 'It is' : 'Stored:')} ${own(status)}`,
      detail: () => html`${when(!isRun, () => html`<p>${own(UNRUN[status])}</p>`)}${why}`,
    },
  ]
}

function sentAgain({ event: { repeats } }: Story): readonly Moment[] {
  if (repeats === undefined) return []
  const { times, lastAtMs, lastFrom } = repeats
  const from = lastFrom === undefined ? NOTHING : html` from ${show(lastFrom, 60)}`
  return [
    {
      id: 'm-again',
      atMs: lastAtMs,
      mark: 'received',
      title: html`Sent again${own(times === 1 ? '' : ` ${counted(times, 'time')}, the last time`)}${from}`,
      detail: () =>
        html`<p>With the same bytes: the service acknowledged ${own(times === 1 ? 'it' : 'each')}, and stored nothing new.</p>`,
    },
  ]
}

/** Why no handler runs. */
export const UNRUN = {
  accepted: 'No handler has it.',
  unhandled: 'No handler wants its type. When one does, replay it.',
  quarantined: 'It is quarantined: it could not be read, or does not match its schema.',
  conflict: 'Another event has its id, with another body: no handler runs.',
  superseded: 'Another event had ended its task before: no handler runs.',
} as const

/** When the task began and ended, and what its provider was asked before the event ended it; of other events, how often it was asked. */
function taskMoments(task: Task, { event, questions, nowMs }: Story): readonly Moment[] {
  const { id, uid, createdAtMs, staleAtMs, polls, lastError, endedAtMs, status, resolvedBy, eventUid } = task
  const link = html`<a href="${own(taskPath(task))}">${show(id ?? uid, 60)}</a>`
  const moments: Moment[] = [
    {
      id: 'm-task',
      atMs: createdAtMs,
      mark: 'running',
      title: html`Its task began`,
      detail: () => html`<p>${link}</p>`,
    },
  ]
  if (questions === undefined) moments.push(unread('questions', 'What the provider was asked'))
  else if (eventUid === event.uid) moments.push(...questionMoments(task, questions, nowMs))
  else if (polls > 0)
    moments.push({
      id: 'm-polls',
      atMs: staleAtMs,
      mark: 'asked',
      title: html`No webhook had come: the provider was asked ${own(times(polls))}`,
      detail: () => html`${lastError === null ? NOTHING : html`<p class="warn">${show(lastError, 300)}</p>`}`,
    })
  if (endedAtMs !== null)
    moments.push({
      id: 'm-task-end',
      atMs: endedAtMs,
      mark: status === 'completed' ? 'succeeded' : status === 'failed' ? 'dead' : 'discarded',
      title: html`The task ended: ${own(status)}${own(resolvedBy === null ? '' : `, by ${resolvedBy}`)}`,
      ...(eventUid !== null &&
        eventUid !== event.uid && {
          detail: () =>
            html`<p>by the event <a href="/console/events/${own(eventUid)}">…${own(eventUid.slice(-6))}</a></p>`,
        }),
    })
  return moments
}

/** A replay comes before the first attempt that belongs to it. */
function replayMoments({ event, replays }: Story): readonly Moment[] {
  const begins = new Map<string, number>()
  for (const { history } of event.deliveries)
    for (const { replay, startedAtMs } of history)
      if (replay !== undefined) begins.set(replay, Math.min(startedAtMs, begins.get(replay) ?? startedAtMs))
  return [...begins].map(([id, firstMs]) => {
    const { isJob = false, by } = replays.get(id) ?? {}
    const who = by === undefined ? NOTHING : html` by ${show(by, 80)}`
    return {
      id: `m-replay-${id}`,
      // The job may have begun long before it came to this event.
      atMs: isJob ? firstMs : Math.min(firstMs, timeOfUid(id) ?? firstMs),
      mark: 'replayed',
      title: html`Replayed${who}`,
      ...(isJob && { detail: () => html`<p>with others, in <a href="/console/replays/${own(id)}">a replay</a></p>` }),
    }
  })
}

/** What a delivery waits for, or that it was given up. */
function stateOf(
  { handler, state, dueAtMs, attempts, history }: Delivery,
  place: number,
  story: Story,
): readonly Moment[] {
  const id = `m-${place}-now`
  const name = show(handler, 60)
  if (state === 'running')
    return [{ id, atMs: undefined, mark: 'running', title: html`${name} runs, attempt ${attempts}` }]
  if (state === 'discarded') return [{ id, atMs: dueAtMs, mark: 'discarded', title: html`${name} is discarded` }]
  if (state !== 'pending') return []
  const hold = story.holds.get(handler)
  if (hold !== undefined) return [{ id, atMs: undefined, ...heldMoment(hold, name, story.nowMs) }]
  const waitMs = dueAtMs - story.nowMs
  const isRetry = attempts > 0 && history.length > 0
  const again = isRetry ? 'tries again' : 'runs'
  const when_ = waitMs > 0 ? `in ${duration(waitMs)}` : 'as soon as there is capacity'
  return [
    {
      id,
      atMs: waitMs > 0 ? dueAtMs : undefined,
      mark: 'pending',
      title: html`${name} ${own(`${again} ${when_}`)}`,
      ...(isRetry && { detail: () => html`<p>attempt ${attempts + 1}</p>` }),
    },
  ]
}

function heldMoment(hold: Hold, name: Html, nowMs: number): Pick<Moment, 'mark' | 'title' | 'detail' | 'tone'> {
  if (hold.why === 'turn')
    return {
      mark: 'pending',
      title: html`${name} waits for its turn`,
      detail: () => html`<p>An earlier event with the same order key has not ended.</p>`,
    }
  if (hold.why === 'gone')
    return {
      mark: 'none',
      tone: 'warn',
      title: html`${name} does not run: its handler is gone`,
      detail: () =>
        html`<p>No running process has a handler of this name. Deploy one, or start a worker that has it.</p>`,
    }
  const { kind, name: paused, by, sinceMs, reason } = hold.pause
  return {
    mark: 'paused',
    title: html`${name} waits`,
    detail: () =>
      html`<p>${own(kind === 'handler' ? 'It' : 'Its source')} is <a href="/console/${own(kind)}s/${own(encodeURIComponent(paused))}">paused</a> by ${show(by, 60)} since ${time(sinceMs, nowMs)} UTC${reason === undefined ? NOTHING : html`: “${show(reason, 256)}”`}</p>`,
  }
}
