import { HoldfastError } from '../../../domain/errors.ts'
import type { EventSummary } from '../../../domain/event.ts'
import { isTerminal, type Task, type TaskStatus } from '../../../domain/task.ts'
import { noteChange } from '../../ops/audit.ts'
import { again, live } from '../html/again.ts'
import { between, type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { type MarkName, mark, state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { ago, counted, duration, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { within } from '../recent.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'

/** Events about a task that its page shows. */
const MAX_EVENTS = 20
/** How long the page waits for them. */
const EVENTS_MS = 1_000
/** Bytes of metadata. */
const MAX_METADATA = 8_000

export const taskPath = ({ source, id, uid }: Task): string =>
  `/console/tasks/${encodeURIComponent(source)}/${encodeURIComponent(id ?? uid)}`

export const TASK_MARKS: Readonly<Record<TaskStatus, MarkName>> = {
  submitting: 'running',
  pending: 'pending',
  completed: 'succeeded',
  failed: 'dead',
  cancelled: 'discarded',
  expired: 'silent',
}
export const stateOf = ({ status }: Task): Html => state(TASK_MARKS[status], own(status))

interface Seen {
  readonly task: Task
  /** The newest first; undefined: they cannot be read now. */
  readonly events: readonly EventSummary[] | undefined
}

/** One task, which the page follows to its end. */
export function registerTask(routes: ConsoleRoutes, { tasks, store }: ConsolePorts): void {
  const path = '/tasks/:source/:id'
  const named = ({ params: { source = '', id = '' } }: Visit) => [source, id] as const
  const read = async (visit: Visit): Promise<Seen> => {
    const task = await tasks.show(...named(visit), 0, AbortSignal.abort())
    const { id, source } = task
    if (id === null) return { task, events: [] }
    const page = await within(EVENTS_MS, store.events({ source, task: id }, { limit: MAX_EVENTS }))
    return { task, events: page?.items }
  }
  routes.page(path, async (visit) => {
    const seen = await read(visit)
    return {
      section: 'tasks',
      title: `Task ${seen.task.id ?? seen.task.uid}`,
      content: html`<div class="sheet" id="task">${pageOf(seen, visit)}</div>`,
    }
  })
  routes.part(path, async (visit) => pageOf(await read(visit), visit))
  routes.form(`${path}/poll`, 'task.poll', async (sent) => taskPath(await tasks.poll(...named(sent))))
  routes.form(`${path}/cancel`, 'task.cancel', async (sent) => {
    const task = await tasks.cancel(...named(sent))
    const isCancelled = task.status === 'cancelled'
    noteChange(sent.request, { target: `${task.source}/${task.id ?? task.uid}`, count: isCancelled ? 1 : 0 })
    if (!isCancelled) throw new HoldfastError('conflict', `the task has ended already: ${task.status}`)
    return taskPath(task)
  })
}

function pageOf(seen: Seen, visit: Visit): Html {
  const { task } = seen
  const { nowMs, mayChange, frame } = visit
  const { source, id, uid, metadata } = task
  const isOpen = !isTerminal(task.status)
  const form = (verb: string, words: string, kind = ''): Html =>
    html`<form method="post" action="${own(`${taskPath(task)}/${verb}`)}">${csrfField(frame)}<button class="btn${own(kind)}" id="${own(verb)}" type="submit">${own(words)}</button></form>`
  return html`<div><p class="crumb"><a href="/console/tasks">Tasks</a></p><div class="head"><div class="bar"><h1 class="mono">${show(id ?? uid, 128)}</h1>${stateOf(task)}${isOpen ? html`${live('Live')}${isAsking(task, nowMs)}` : NOTHING}</div>${when(isOpen && mayChange, () => html`<div class="bar">${form('poll', 'Ask now', ' go')}${form('cancel', 'Cancel the task')}</div>`)}</div>
<p class="says">${verdict(task, nowMs)}</p></div>
<div class="story"><section class="card" aria-labelledby="story"><div class="title"><h2 id="story">What happened</h2></div><ol class="line">${momentsOf(seen, nowMs).map((each) => lineOf(each, nowMs))}</ol></section>
<div class="stack"><dl class="card pad kv"><dt>Source</dt><dd><a href="/console/sources/${own(encodeURIComponent(source))}">${show(source, 60)}</a></dd><dt>Provider says</dt><dd>${task.providerStatus === null ? html`–` : show(task.providerStatus, 120)}</dd><dt>Asked</dt><dd>${own(task.polls === 0 ? 'not yet' : times(task.polls))}</dd>${task.lastError === null ? NOTHING : html`<dt>Last error</dt><dd class="warn">${show(task.lastError, 600)}</dd>`}<dt>Uid</dt><dd class="mono">${own(uid)}</dd></dl>
${metadata === null ? NOTHING : html`<section class="card" aria-labelledby="metadata"><div class="title"><h2 id="metadata">Metadata</h2></div><pre class="trace raw" tabindex="0" role="region" aria-label="Metadata as JSON">${linesOf(JSON.stringify(metadata, null, 2))}</pre></section>`}</div></div>`
}

/** Soon, the service asks the provider; otherwise only a webhook can change the task. */
const SOON_MS = 30_000

function isAsking(task: Task, nowMs: number): Html {
  const nextMs = task.staleAtMs > nowMs ? task.staleAtMs : (task.nextPollAtMs ?? nowMs)
  const seconds = nextMs - nowMs < SOON_MS ? 2 : 10
  return again({ path: taskPath(task).replace('/console/', '/console/part/'), into: 'task', seconds, nowMs })
}

/** Line by line: within a line, a line end is a character that cannot be seen. */
const linesOf = (text: string): Html =>
  between(
    text
      .slice(0, MAX_METADATA)
      .split('\n')
      .map((each) => show(each, MAX_METADATA)),
    own('\n'),
  )

const times = (count: number): string => (count === 1 ? 'once' : counted(count, 'time'))

/** What is so, in a sentence. */
function verdict(task: Task, nowMs: number): Html {
  const { endedAtMs, status, resolvedBy, staleAtMs, expiresAtMs, nextPollAtMs, createdAtMs, polls } = task
  if (endedAtMs !== null) {
    const by = resolvedBy === null ? '' : resolvedBy === 'expiry' ? ' at its deadline' : `, as a ${resolvedBy} told`
    return html`It ended after ${own(duration(endedAtMs - createdAtMs))}: ${own(status)}${own(by)}.`
  }
  const deadline = `; it expires in ${duration(Math.max(0, expiresAtMs - nowMs))}`
  if (staleAtMs > nowMs)
    return html`Holdfast waits for a webhook, and asks the provider in ${own(duration(staleAtMs - nowMs))} if none comes${own(deadline)}.`
  const next = nextPollAtMs === null || nextPollAtMs <= nowMs ? 'now' : `in ${duration(nextPollAtMs - nowMs)}`
  return html`No webhook came in time: the provider was asked ${own(times(polls))}, and is asked again ${own(next)}${own(deadline)}.`
}

interface Moment {
  readonly atMs: number
  readonly shape: MarkName
  readonly title: Html
  readonly detail?: Html
}

/** What is known of it, in order of time: the past, and what is to come. The store keeps of polls their number and the last error. */
function momentsOf({ task, events }: Seen, nowMs: number): readonly Moment[] {
  const { createdAtMs, staleAtMs, expiresAtMs, nextPollAtMs, endedAtMs, polls, lastError, status } = task
  const isOpen = endedAtMs === null
  const moments: Moment[] = [
    { atMs: createdAtMs, shape: 'received', title: html`begun` },
    ...(isOpen || staleAtMs <= endedAtMs
      ? [
          {
            atMs: staleAtMs,
            shape: 'asked' as const,
            title: staleAtMs <= nowMs ? html`stale: no webhook had come` : html`is stale if no webhook comes`,
            detail:
              polls === 0
                ? html`the provider was not asked yet`
                : html`asked ${own(times(polls))} since${lastError === null ? NOTHING : html`, and the last poll failed: ${show(lastError, 300)}`}`,
          },
        ]
      : []),
    ...(events ?? []).map((event) => eventMoment(event, task)),
    ...(isOpen && nextPollAtMs !== null && nextPollAtMs > nowMs && nextPollAtMs > staleAtMs
      ? [{ atMs: nextPollAtMs, shape: 'asked' as const, title: html`is asked next` }]
      : []),
    isOpen
      ? { atMs: expiresAtMs, shape: 'silent', title: html`deadline: it expires` }
      : { atMs: endedAtMs, shape: 'stored', title: html`ended: ${own(status)}` },
  ]
  const inOrder = moments.toSorted((one, other) => one.atMs - other.atMs)
  return events === undefined
    ? [...inOrder, { atMs: nowMs, shape: 'warning', title: html`its events cannot be read now` }]
    : inOrder
}

function eventMoment({ uid, type, receivedAtMs, origin, status }: EventSummary, task: Task): Moment {
  return {
    atMs: receivedAtMs,
    shape: 'stored',
    title: html`<a href="/console/events/${own(uid)}">${show(type, 80)}</a>`,
    detail: html`${own(origin === 'poll' ? 'the answer to a poll' : origin === 'webhook' ? 'a webhook' : origin)}, ${own(status)}${own(uid === task.eventUid ? '; it ended the task' : '')}`,
  }
}

const lineOf = ({ atMs, shape, title, detail }: Moment, nowMs: number): Html =>
  html`<li>${time(atMs, nowMs)}<span class="dot">${mark(shape)}</span><div class="ev"><h3>${title}</h3><p>${atMs > nowMs ? html`in ${own(duration(atMs - nowMs))}` : ago(atMs, nowMs)}${detail === undefined ? NOTHING : html` · ${detail}`}</p></div></li>`
