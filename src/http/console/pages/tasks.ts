import { HOUR_MS } from '../../../domain/clock.ts'
import type { Page } from '../../../domain/page.ts'
import { TASK_STATUSES, type Task } from '../../../domain/task.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { type MarkName, state } from '../html/marks.ts'
import { plain, show } from '../html/show.ts'
import { pager, table } from '../html/table.ts'
import { counted, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { registerTask, stateOf, taskPath } from './task.ts'
import { TASK_MARKS } from './task-timeline.ts'

const PAGE_SIZE = 30
/** Stale tasks that stand before all others. */
const STALE_SHOWN = 10
/** Sources in the field that filters by them. */
const MAX_SOURCES = 200

/** `stale` is no status of a task: it is not over, and its provider is asked. */
const TABS = ['stale', ...TASK_STATUSES] as const
type Tab = (typeof TABS)[number]

export function registerTaskPages(routes: ConsoleRoutes, options: ConsolePorts): void {
  const { tasks, sources } = options
  routes.page('/tasks', async (visit) => {
    const { query, nowMs } = visit
    const tab = TABS.find((each) => each === query.get('status'))
    const source = query.get('source') || undefined
    const cursor = query.get('cursor') || undefined
    const ofSource = source === undefined ? {} : { source }
    const filter = {
      ...ofSource,
      ...(tab === 'stale' ? { staleAtMs: nowMs } : tab !== undefined && { status: tab }),
    }
    const page = await tasks.list(filter, { limit: PAGE_SIZE, ...(cursor !== undefined && { cursor }) })
    const isFirst = tab === undefined && cursor === undefined
    const stale = isFirst ? await tasks.list({ ...ofSource, staleAtMs: nowMs }, { limit: STALE_SHOWN }) : NONE
    const names = sources().map(({ name }) => name)
    return { section: 'tasks', title: 'Tasks', content: listOf({ page, stale, tab, source, names }, visit) }
  })
  registerTask(routes, options)
}

const NONE: Page<Task> = { items: [], nextCursor: undefined }
const markOf = (tab: Tab): MarkName => (tab === 'stale' ? 'asked' : TASK_MARKS[tab])

interface Found {
  readonly page: Page<Task>
  /** Of a list without a status: those that come first. */
  readonly stale: Page<Task>
  readonly tab: Tab | undefined
  readonly source: string | undefined
  /** The sources that are configured. */
  readonly names: readonly string[]
}

/** The URL of a list. */
function urlOf(tab: Tab | undefined, source: string | undefined, cursor?: string): string {
  const query = new URLSearchParams()
  if (tab !== undefined) query.set('status', tab)
  if (source !== undefined) query.set('source', source)
  if (cursor !== undefined) query.set('cursor', cursor)
  return query.size === 0 ? '/console/tasks' : `/console/tasks?${query.toString()}`
}

function listOf(found: Found, { nowMs }: Visit): Html {
  const { page, stale, tab, source } = found
  return html`<div class="head"><div><h1>Tasks</h1><p>Work at providers, whose end a webhook tells, or a poll.</p></div>${sourceField(found)}</div>
<nav class="tabs" aria-label="Status">${[undefined, ...TABS].map(
    (each) =>
      html`<a href="${own(urlOf(each, source))}"${when(each === tab, () => CURRENT)}>${each === undefined ? html`all` : state(markOf(each), own(each))}</a>`,
  )}</nav>
${
  stale.items.length === 0
    ? NOTHING
    : html`<section aria-labelledby="stale"><h2 id="stale">Stale: no webhook came in time, and the provider is asked</h2>${tableOf(stale.items, 'Stale tasks, newest first', nowMs, stale.nextCursor === undefined ? NOTHING : html`<div class="foot"><a class="btn" href="${own(urlOf('stale', source))}">All that are stale</a></div>`)}</section>`
}
${stale.items.length === 0 ? NOTHING : html`<h2 class="after">All</h2>`}${
  page.items.length === 0 && page.nextCursor === undefined
    ? empty(found)
    : tableOf(
        page.items,
        'Tasks, newest first',
        nowMs,
        pager(
          html`${own(counted(page.items.length, 'task'))}, newest first.`,
          page.nextCursor === undefined ? undefined : urlOf(tab, source, page.nextCursor),
        ),
      )
}`
}

const CURRENT = html` aria-current="page"`

function sourceField({ tab, source, names }: Found): Html {
  if (names.length < 2 && source === undefined) return NOTHING
  const shown = [...new Set([...(source === undefined ? [] : [source]), ...names.slice(0, MAX_SOURCES)])]
  return html`<form class="bar" method="get" action="/console/tasks">${tab === undefined ? NOTHING : html`<input type="hidden" name="status" value="${own(tab)}">`}<label class="field">Source <select name="source"><option value="">all</option>${shown.map((name) => html`<option value="${own(name)}"${when(name === source, () => SELECTED)}>${plain(name, 64)}</option>`)}</select></label><button class="btn" type="submit">Show</button></form>`
}

const SELECTED = html` selected`

function empty({ tab, source }: Found): Html {
  if (tab === undefined && source === undefined)
    return html`<div class="card pad stack"><p>No task yet.</p><p class="muted">A task is work at a provider that Holdfast waits for, and asks about if no webhook comes. Begin one with <code>POST /v1/tasks</code>, or with <code>holdfast tasks track</code>.</p></div>`
  const what = tab === undefined ? 'No task' : `No task is ${tab}`
  return html`<div class="card pad stack"><p>${own(what)}${source === undefined ? NOTHING : html` of ${show(source, 64)}`}.</p><p><a href="/console/tasks">All tasks</a></p></div>`
}

const tableOf = (rows: readonly Task[], caption: string, nowMs: number, foot: Html): Html =>
  table({
    caption,
    rows,
    foot,
    columns: [
      { title: 'Began, UTC', kind: 'short', cell: ({ createdAtMs }) => time(createdAtMs, nowMs) },
      { title: 'Status', onPhone: 'end', cell: stateOf },
      {
        title: 'Task',
        kind: 'name',
        onPhone: 'wide',
        cell: (task) =>
          html`<a class="row mono" href="${own(taskPath(task))}">${show(task.id ?? 'not submitted yet', 80)}</a>`,
      },
      {
        title: 'Provider says',
        kind: 'cut',
        onPhone: 'wide',
        cell: ({ providerStatus, lastError }) =>
          html`${show(providerStatus ?? '', 60)} ${lastError === null ? NOTHING : html`<span class="warn">${show(lastError, 120)}</span>`}`,
      },
      {
        title: 'Next question, UTC',
        kind: 'short',
        cell: ({ nextPollAtMs }) => html`<span class="label">next </span>${whenIs(nextPollAtMs, nowMs)}`,
      },
      {
        title: 'Deadline, UTC',
        kind: 'short',
        onPhone: 'end',
        cell: ({ expiresAtMs, endedAtMs, resolvedBy }) =>
          endedAtMs === null
            ? html`<span class="label">until </span>${whenIs(expiresAtMs, nowMs)}`
            : html`<span class="muted">ended${own(resolvedBy === null ? '' : resolvedBy === 'expiry' ? ' at it' : ` by ${resolvedBy}`)}</span>`,
      },
      { title: 'Source', onPhone: 'gone', cell: ({ source }) => show(source, 40) },
    ],
  })

/** The list is not read again by itself: a moment stays right. */
const whenIs = (ms: number | null, nowMs: number): Html =>
  ms === null ? html`–` : ms <= nowMs ? own('now') : time(ms, nowMs, ms - nowMs < HOUR_MS ? 'seconds' : 'minutes')
