import { HoldfastError } from '../../../domain/errors.ts'
import type { Task, TaskStatus } from '../../../domain/task.ts'
import { TASK_STATUSES } from '../../../domain/task.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { type MarkName, state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { pager, table } from '../html/table.ts'
import { ago, counted, duration, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'

const PAGE_SIZE = 30
const pathOf = ({ source, id, uid }: Task): string =>
  `/console/tasks/${encodeURIComponent(source)}/${encodeURIComponent(id ?? uid)}`

export function registerTaskPages(routes: ConsoleRoutes, { tasks }: ConsolePorts): void {
  routes.page('/tasks', async (visit) => {
    const { query } = visit
    const status = TASK_STATUSES.find((each) => each === query.get('status'))
    const [source, cursor] = [query.get('source'), query.get('cursor')]
    const filter = { ...(status !== undefined && { status }), ...(source !== null && source !== '' && { source }) }
    const { items, nextCursor } = await tasks.list(filter, { limit: PAGE_SIZE, ...(cursor !== null && { cursor }) })
    return { section: 'tasks', title: 'Tasks', content: listOf(items, nextCursor, status, visit) }
  })

  const path = '/tasks/:source/:id'
  const named = ({ params: { source = '', id = '' } }: Visit) => [source, id] as const
  routes.page(path, async (visit) => {
    const task = await tasks.show(...named(visit), 0, AbortSignal.abort())
    return { section: 'tasks', title: `Task ${task.id ?? task.uid}`, content: one(task, visit) }
  })
  routes.form(`${path}/poll`, 'task.poll', async (sent) => pathOf(await tasks.poll(...named(sent))))
  routes.form(`${path}/cancel`, 'task.cancel', async (sent) => {
    const task = await tasks.cancel(...named(sent))
    if (task.status !== 'cancelled') throw new HoldfastError('conflict', `the task has ended already: ${task.status}`)
    return pathOf(task)
  })
}

const MARKS: Readonly<Record<TaskStatus, MarkName>> = {
  submitting: 'running',
  pending: 'pending',
  completed: 'succeeded',
  failed: 'dead',
  cancelled: 'discarded',
  expired: 'silent',
}
const stateOf = ({ status }: Task): Html => state(MARKS[status], own(status))

function listOf(
  items: readonly Task[],
  nextCursor: string | undefined,
  status: TaskStatus | undefined,
  { nowMs, query }: Visit,
): Html {
  const url = (to: TaskStatus | undefined): string =>
    to === undefined ? '/console/tasks' : `/console/tasks?status=${to}`
  const older = new URLSearchParams(query)
  older.set('cursor', nextCursor ?? '')
  return html`<div class="head"><div><h1>Tasks</h1><p>Work at providers, whose end a webhook tells, or a poll.</p></div></div>
<nav class="tabs" aria-label="Status">${[undefined, ...TASK_STATUSES].map(
    (each) =>
      html`<a href="${own(url(each))}"${when(each === status, () => CURRENT)}>${each === undefined ? html`all` : state(MARKS[each], own(each))}</a>`,
  )}</nav>
${
  items.length === 0
    ? html`<div class="card pad"><p>No task${own(status === undefined ? ' yet' : ` is ${status}`)}.</p></div>`
    : table({
        caption: 'Tasks, newest first',
        rows: items,
        columns: [
          { title: 'Began, UTC', kind: 'short', cell: ({ createdAtMs }) => time(createdAtMs, nowMs) },
          { title: 'Status', onPhone: 'end', cell: stateOf },
          {
            title: 'Task',
            kind: 'name',
            onPhone: 'wide',
            cell: (task) =>
              html`<a class="row mono" href="${own(pathOf(task))}">${show(task.id ?? 'not submitted yet', 80)}</a>`,
          },
          {
            title: 'Provider says',
            kind: 'cut',
            onPhone: 'wide',
            cell: ({ providerStatus, lastError }) =>
              html`${show(providerStatus ?? '', 60)} ${lastError === null ? NOTHING : html`<span class="warn">${show(lastError, 120)}</span>`}`,
          },
          {
            title: 'Next question',
            kind: 'short',
            cell: ({ nextPollAtMs }) =>
              nextPollAtMs === null
                ? html`–`
                : own(nextPollAtMs <= nowMs ? 'now' : `in ${duration(nextPollAtMs - nowMs)}`),
          },
          { title: 'Source', onPhone: 'gone', cell: ({ source }) => show(source, 40) },
        ],
        foot: pager(
          own(counted(items.length, 'task')),
          nextCursor === undefined ? undefined : `/console/tasks?${older.toString()}`,
        ),
      })
}`
}

const CURRENT = html` aria-current="page"`

function one(task: Task, { nowMs, mayChange, frame }: Visit): Html {
  const {
    uid,
    source,
    id,
    status,
    providerStatus,
    metadata,
    createdAtMs,
    staleAtMs,
    expiresAtMs,
    nextPollAtMs,
    polls,
    lastError,
    endedAtMs,
    resolvedBy,
    eventUid,
  } = task
  const isOpen = endedAtMs === null
  const form = (verb: string, words: string): Html =>
    html`<form method="post" action="${own(`${pathOf(task)}/${verb}`)}">${csrfField(frame)}<button class="btn" type="submit">${own(words)}</button></form>`
  const fact = (name: string, value: Html): Html => html`<dt>${own(name)}</dt><dd>${value}</dd>`
  const moment = (ms: number): Html => html`${time(ms, nowMs)} UTC`
  return html`<div><p class="crumb"><a href="/console/tasks">Tasks</a></p><div class="head"><div class="bar"><h1 class="mono">${show(id ?? uid, 128)}</h1>${stateOf(task)}</div>${when(isOpen && mayChange, () => html`<div class="bar">${form('poll', 'Ask now')}${form('cancel', 'Cancel')}</div>`)}</div></div>
<dl class="card pad kv">
${fact('Source', html`<a href="/console/sources/${own(encodeURIComponent(source))}">${show(source, 60)}</a>`)}
${fact('Provider says', providerStatus === null ? html`–` : show(providerStatus, 120))}
${fact('Began', html`${moment(createdAtMs)}, ${ago(createdAtMs, nowMs)}`)}
${fact('Asked from', moment(staleAtMs))}
${fact('Deadline', moment(expiresAtMs))}
${fact('Asked', html`${own(counted(polls, 'time'))}${nextPollAtMs === null ? NOTHING : html`, next ${nextPollAtMs <= nowMs ? html`now` : html`at ${moment(nextPollAtMs)}`}`}`)}
${lastError === null ? NOTHING : fact('Last error', html`<span class="warn">${show(lastError, 600)}</span>`)}
${endedAtMs === null ? NOTHING : fact('Ended', html`${own(status)} at ${moment(endedAtMs)}${own(resolvedBy === null ? '' : `, by ${resolvedBy}`)}`)}
${eventUid === null ? NOTHING : fact('Event', html`<a class="mono" href="/console/events/${own(eventUid)}">${own(eventUid)}</a>`)}
${fact('Uid', html`<span class="mono">${own(uid)}</span>`)}
</dl>
${metadata === null ? NOTHING : html`<section class="card pad" aria-labelledby="metadata"><h2 id="metadata">Metadata</h2><pre class="trace" tabindex="0" role="region" aria-label="Metadata">${show(JSON.stringify(metadata, null, 1), 8_000)}</pre></section>`}`
}
