import { HoldfastError } from '../../../domain/errors.ts'
import { isTerminal, type Task } from '../../../domain/task.ts'
import { within } from '../../../domain/within.ts'
import { noteChange } from '../../ops/audit.ts'
import { again, live } from '../html/again.ts'
import { between, type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { duration, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { times } from './task-questions.ts'
import { type SeenTask, TASK_MARKS, taskTimeline } from './task-timeline.ts'

/** Events about a task that its page shows. */
const MAX_EVENTS = 20
/** How long the page waits for them, and for the questions. */
const EVENTS_MS = 1_000
/** Bytes of metadata. */
const MAX_METADATA = 8_000

export const taskPath = ({ source, id, uid }: Task): string =>
  `/console/tasks/${encodeURIComponent(source)}/${encodeURIComponent(id ?? uid)}`

export const stateOf = ({ status }: Task): Html => state(TASK_MARKS[status], own(status))

/** One task, which the page follows to its end. */
export function registerTask(routes: ConsoleRoutes, { tasks, store }: ConsolePorts): void {
  const path = '/tasks/:source/:id'
  const named = ({ params: { source = '', id = '' } }: Visit) => [source, id] as const
  const eventsOf = async ({ source, id }: Task) =>
    id === null ? [] : (await within(EVENTS_MS, store.events({ source, task: id }, { limit: MAX_EVENTS })))?.items
  const read = async (visit: Visit): Promise<SeenTask> => {
    const task = await tasks.show(...named(visit), 0, AbortSignal.abort())
    const [events, questions] = await Promise.all([eventsOf(task), within(EVENTS_MS, tasks.questions(task))])
    return { task, events, questions }
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

function pageOf(seen: SeenTask, visit: Visit): Html {
  const { task } = seen
  const { nowMs, mayChange, frame } = visit
  const { source, id, uid, metadata } = task
  const isOpen = !isTerminal(task.status)
  const form = (verb: string, words: string, kind = ''): Html =>
    html`<form method="post" action="${own(`${taskPath(task)}/${verb}`)}">${csrfField(frame)}<button class="btn${own(kind)}" id="${own(verb)}" type="submit">${own(words)}</button></form>`
  return html`<div><p class="crumb"><a href="/console/tasks">Tasks</a></p><div class="head"><div class="bar"><h1 class="mono">${show(id ?? uid, 128)}</h1>${stateOf(task)}${isOpen ? html`${live('Live')}${isAsking(task, nowMs)}` : NOTHING}</div>${when(isOpen && mayChange, () => html`<div class="bar">${form('poll', 'Ask now', ' go')}${form('cancel', 'Cancel the task')}</div>`)}</div>
<p class="says">${verdict(task, nowMs)}</p></div>
<div class="story"><section class="card" aria-labelledby="story"><div class="title"><h2 id="story">What happened</h2></div>${taskTimeline(seen, nowMs)}</section>
<div class="stack"><dl class="card pad kv"><dt>Source</dt><dd><a href="/console/sources/${own(encodeURIComponent(source))}">${show(source, 60)}</a></dd><dt>Provider says</dt><dd>${task.providerStatus === null ? html`–` : show(task.providerStatus, 120)}</dd><dt>Polls</dt><dd>${own(whole(task.polls))}</dd>${task.lastError === null ? NOTHING : html`<dt>Last error</dt><dd class="warn">${show(task.lastError, 600)}</dd>`}<dt>Uid</dt><dd class="mono">${own(uid)}</dd></dl>
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
