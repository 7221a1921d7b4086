import type { EventSummary } from '../../../domain/event.ts'
import { isExpiry, type Task, type TaskStatus } from '../../../domain/task.ts'
import type { Question } from '../../../domain/task-question.ts'
import { type Html, html, own } from '../html/html.ts'
import type { MarkName } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { duration } from '../html/words.ts'
import { type Moment, momentList, unread } from './moment-list.ts'
import { questionMoments } from './task-questions.ts'

export const TASK_MARKS: Readonly<Record<TaskStatus, MarkName>> = {
  submitting: 'running',
  pending: 'pending',
  completed: 'succeeded',
  failed: 'dead',
  cancelled: 'discarded',
  expired: 'silent',
}

/** A task, and what belongs to it. */
export interface SeenTask {
  readonly task: Task
  /** The newest first; undefined: they cannot be read now. */
  readonly events: readonly EventSummary[] | undefined
  /** What the provider was asked; undefined: that cannot be read now. */
  readonly questions: readonly Question[] | undefined
}

/** What happened to a task, and what is to come. */
export const taskTimeline = (seen: SeenTask, nowMs: number): Html =>
  momentList(momentsOf(seen, nowMs), {
    nowMs,
    precision: 'seconds',
    command: `holdfast tasks show ${seen.task.source} ${seen.task.uid}`,
  })

function momentsOf({ task, events, questions }: SeenTask, nowMs: number): readonly Moment[] {
  const { createdAtMs, endedAtMs, status, eventUid } = task
  const end: Moment = {
    id: 't-end',
    atMs: endedAtMs ?? nowMs,
    mark: TASK_MARKS[status],
    title: html`Ended: ${own(status)}`,
    ...(eventUid === null && { detail: () => html`<p>by no event</p>` }),
  }
  return [
    { id: 't-begun', atMs: createdAtMs, mark: 'received', title: html`Begun` },
    ...staleMoments(task, nowMs),
    ...(questions === undefined
      ? [unread('questions', 'What the provider was asked')]
      : questionMoments(task, questions, nowMs)),
    ...(events === undefined ? [unread('events', 'Its events')] : events.map((event) => eventMoment(event, task))),
    ...(endedAtMs === null ? comingMoments(task, nowMs) : [end]),
  ]
}

/** When the wait for a webhook was over, or will be. */
function staleMoments({ staleAtMs, endedAtMs }: Task, nowMs: number): readonly Moment[] {
  if (endedAtMs !== null && staleAtMs > endedAtMs) return []
  const isStale = staleAtMs <= nowMs
  return [
    {
      id: 't-stale',
      atMs: staleAtMs,
      mark: 'silent',
      ...(!isStale && { tone: 'quiet' as const }),
      title: isStale ? html`Stale: no webhook had come` : html`Stale, if no webhook comes`,
      detail: () =>
        isStale ? html`` : html`<p>${own(`in ${duration(staleAtMs - nowMs)}; the provider is asked from then on`)}</p>`,
    },
  ]
}

function comingMoments({ nextPollAtMs, staleAtMs, expiresAtMs }: Task, nowMs: number): readonly Moment[] {
  const isDue = nextPollAtMs !== null && nextPollAtMs > nowMs && nextPollAtMs > staleAtMs && nextPollAtMs < expiresAtMs
  const coming = (id: string, atMs: number, mark: MarkName, title: string): Moment => ({
    id,
    atMs,
    mark,
    tone: 'quiet',
    title: html`${own(title)}`,
    detail: () => html`<p>${own(atMs > nowMs ? `in ${duration(atMs - nowMs)}` : 'now')}</p>`,
  })
  return [
    ...(isDue ? [coming('t-next', nextPollAtMs, 'asked', 'Asked next')] : []),
    coming('t-deadline', expiresAtMs, 'silent', 'Deadline: it expires'),
  ]
}

/** Of what the service made an event. */
export const madeOf = (event: Pick<EventSummary, 'origin' | 'type'>): string =>
  isExpiry(event) ? 'made at the deadline of the task' : 'made of the answer to a poll'

function eventMoment({ uid, type, receivedAtMs, origin, status }: EventSummary, task: Task): Moment {
  const cameBy = origin === 'poll' ? madeOf({ origin, type }) : origin === 'webhook' ? 'came by webhook' : origin
  const ended = uid === task.eventUid ? '; it ended the task' : ''
  return {
    id: `t-${uid}`,
    atMs: receivedAtMs,
    mark: 'stored',
    title: html`Event <a href="/console/events/${own(uid)}">${show(type, 80)}</a>`,
    detail: () => html`<p>${own(`${cameBy}, ${status}${ended}`)}</p>`,
  }
}
