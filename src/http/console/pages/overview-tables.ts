import type { DeadCauses } from '../../../domain/dead-letters.ts'
import type { Problem, ProblemName } from '../../../domain/problem.ts'
import type { RunningReplica } from '../../../domain/replica-registry.ts'
import type { DayNumbers } from '../../../domain/stats.ts'
import type { ServiceStatus } from '../../../domain/status.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { state } from '../html/marks.ts'
import { spark } from '../html/plot.ts'
import { show } from '../html/show.ts'
import { type Column, table } from '../html/table.ts'
import { ago, duration, whole } from '../html/words.ts'

/** Rows of each table; those with a problem come first. */
const MAX_ROWS = 8

interface Given {
  readonly names: readonly string[]
  readonly status: ServiceStatus
  readonly day: DayNumbers | undefined
}

interface Row {
  readonly name: string
  readonly problem: Problem | undefined
  readonly count: number
}

/** The problems that make the state of a source or handler, the worst first. */
const STATES: Readonly<Partial<Record<ProblemName, () => Html>>> = {
  refusals: () => state('refused', own('refused')),
  handler_missing: () => state('warning', own('not running'), 'bad'),
  source_silent: () => state('silent', own('silent')),
  breaker_open: () => state('open', own('breaker open')),
  handler_paused: () => state('paused', own('paused')),
  source_paused: () => state('paused', own('paused')),
  events_quarantined: () => state('warning', own('not understood')),
  tasks_stuck: () => state('warning', own('tasks stuck')),
}

/** The first of `names` that matter most: those with a problem, then those with most events. */
function first(
  { names, status: { problems } }: Given,
  kind: 'source' | 'handler',
  countOf: (name: string) => number,
  isWorse: (name: string) => boolean = () => false,
): readonly Row[] {
  const rows = names.map((name) => ({
    name,
    problem: problems.find((each) => each[kind] === name && STATES[each.problem] !== undefined),
    count: countOf(name),
  }))
  const weight = ({ name, problem }: Row): number => (problem === undefined ? (isWorse(name) ? 1 : 0) : 2)
  return rows
    .toSorted(
      (one, other) => weight(other) - weight(one) || other.count - one.count || (one.name < other.name ? -1 : 1),
    )
    .slice(0, MAX_ROWS)
}

const section = (id: string, title: string, count: number, content: Html): Html =>
  html`<section aria-labelledby="${own(id)}"><div class="head tight"><h2 id="${own(id)}">${own(title)}</h2><a href="/console/${own(id)}">All ${own(whole(count))}</a></div>${content}</section>`

const nameColumn = (kind: 'source' | 'handler'): Column<Row> => ({
  title: kind === 'source' ? 'Source' : 'Handler',
  kind: 'name',
  cell: ({ name }) =>
    html`<a class="row" href="/console/${own(`${kind}s`)}/${own(encodeURIComponent(name))}">${show(name, 60)}</a>`,
})

export function sourceTable(
  given: Given & { readonly lastEventAtMs: (source: string) => number | undefined; readonly nowMs: number },
): Html {
  const { names, day, lastEventAtMs, nowMs } = given
  const received = (name: string): number => day?.sources.get(name)?.total.received ?? 0
  return section(
    'sources',
    'Sources',
    names.length,
    table({
      caption: 'Sources, those with a problem first',
      rows: first(given, 'source', received),
      idOf: ({ name }) => `source-${name}`,
      columns: [
        nameColumn('source'),
        {
          title: 'State',
          onPhone: 'end',
          cell: ({ name, problem }) =>
            problem === undefined
              ? lastEventAtMs(name) === undefined && received(name) === 0
                ? state('none', own('no event yet'))
                : state('succeeded', own('receiving'))
              : stateOf(problem),
        },
        { title: '24 h', kind: 'number', cell: ({ count }) => number(count, day) },
        {
          title: 'Trend',
          onPhone: 'gone',
          cell: ({ name }) => trend(day?.sources.get(name)?.receivedHourly),
        },
        {
          title: 'Last',
          kind: 'number',
          onPhone: 'end',
          cell: ({ name }) => {
            const atMs = lastEventAtMs(name)
            return atMs === undefined ? html`–` : ago(atMs, nowMs)
          },
        },
      ],
    }),
  )
}

const number = (count: number, day: DayNumbers | undefined): Html =>
  html`<span class="label">24 h </span>${own(day === undefined ? '–' : whole(count))}`

/** Without the present hour, which has less than a whole one and would look like a fall; unless it is the first. */
export function trend(values: readonly number[] = [], failures: readonly number[] = []): Html {
  const isFirst = ![...values.slice(0, -1), ...failures.slice(0, -1)].some((count) => count > 0)
  return isFirst ? spark(values, failures) : spark(values.slice(0, -1), failures.slice(0, -1))
}

const stateOf = ({ problem }: Problem): Html => STATES[problem]?.() ?? NOTHING

export const deadByHandler = ({ causes }: DeadCauses): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const { handler, count } of causes) counts.set(handler, (counts.get(handler) ?? 0) + count)
  return counts
}

export function handlerTable(given: Given & { readonly dead: ReadonlyMap<string, number> | undefined }): Html {
  const { names, day, dead } = given
  const of = (name: string) => day?.handlers.get(name)
  const handled = (name: string): number => of(name)?.handled ?? 0
  return section(
    'handlers',
    'Handlers',
    names.length,
    names.length === 0
      ? html`<div class="card pad"><p>No handler is registered: events are stored, and nothing runs. Put a module into the folder that <code>HANDLERS_DIR</code> names.</p></div>`
      : table({
          caption: 'Handlers, those with a problem first',
          rows: first(given, 'handler', handled, (name) => dead?.has(name) === true),
          idOf: ({ name }) => `handler-${encodeURIComponent(name)}`,
          columns: [
            nameColumn('handler'),
            {
              title: 'State',
              onPhone: 'end',
              cell: ({ name, problem }) => {
                if (problem !== undefined) return stateOf(problem)
                const count = dead?.get(name) ?? 0
                if (count > 0) return state('dead', own(`dead ${whole(count)}`))
                return (of(name)?.failedHourly.at(-1) ?? 0) > 0
                  ? state('failing', own('failing'))
                  : state('succeeded', own('steady'))
              },
            },
            { title: '24 h', kind: 'number', cell: ({ count }) => number(count, day) },
            {
              title: 'Trend',
              onPhone: 'gone',
              cell: ({ name }) => trend(of(name)?.handledHourly, of(name)?.failedHourly),
            },
            {
              title: 'p50',
              kind: 'number',
              onPhone: 'end',
              cell: ({ name }) => {
                const p50Ms = of(name)?.times.p50Ms
                return own(p50Ms === undefined ? '–' : duration(p50Ms))
              },
            },
          ],
        }),
  )
}

/** The processes that share the store. */
export const replicaTable = (replicas: readonly RunningReplica[], nowMs: number): Html =>
  html`<section aria-labelledby="replicas"><h2 id="replicas">Replicas</h2>${table({
    caption: 'Processes that share the store, in order of their start',
    rows: replicas,
    idOf: ({ uid }) => `replica-${uid}`,
    columns: [
      { title: 'Process', kind: 'mono', cell: ({ uid }) => html`…${own(uid.slice(-12))}` },
      { title: 'Role', onPhone: 'end', cell: ({ role }) => own(role) },
      {
        title: 'Handlers',
        kind: 'number',
        cell: ({ handlers, role }) => own(role === 'ingest' ? 'none' : whole(handlers)),
      },
      { title: 'Since', kind: 'number', onPhone: 'gone', cell: ({ sinceMs }) => ago(sinceMs, nowMs) },
      { title: 'Last seen', kind: 'number', onPhone: 'end', cell: ({ seenAtMs }) => ago(seenAtMs, nowMs) },
    ],
  })}</section>`
