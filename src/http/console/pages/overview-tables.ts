import type { RunningReplica } from '../../../domain/replica-registry.ts'
import { type Html, html, own } from '../html/html.ts'
import { state } from '../html/marks.ts'
import { spark } from '../html/plot.ts'
import { show } from '../html/show.ts'
import { type Column, table } from '../html/table.ts'
import { ago, duration, ownCount, whole } from '../html/words.ts'
import { type Finding, stateOf } from './finding.ts'
import { deadCountOf, handlerFindings, type SeenHandler, weightOf } from './handler-state.ts'
import { findingsOf, lastWebhookOf, type SeenSource } from './source-state.ts'

/** Rows of each table; those with a problem come first. */
const MAX_ROWS = 8

const section = (id: string, title: string, count: number, content: Html): Html =>
  html`<section aria-labelledby="${own(id)}"><div class="head tight"><h2 id="${own(id)}">${own(title)} <span class="small muted">24 hours</span></h2><a href="/console/${own(id)}">All ${own(whole(count))}</a></div>${content}</section>`

const nameColumn = (kind: 'source' | 'handler'): Column<{ readonly name: string }> => ({
  title: kind === 'source' ? 'Source' : 'Handler',
  kind: 'name',
  cell: ({ name }) =>
    html`<a class="row" href="/console/${own(`${kind}s`)}/${own(encodeURIComponent(name))}">${show(name, 60)}</a>`,
})

interface Weighed {
  readonly name: string
  /** Those that need a hand have more. */
  readonly weight: number
  readonly count: number
}

/** The first of them that matter most: those that need a hand, then those with most events. */
const first = <Row extends Weighed>(rows: readonly Row[]): readonly Row[] =>
  rows
    .toSorted((one, other) => other.weight - one.weight || other.count - one.count || (one.name < other.name ? -1 : 1))
    .slice(0, MAX_ROWS)

const none = ({ isCounted }: { readonly isCounted: boolean }): number | undefined => (isCounted ? 0 : undefined)
const number = (label: string, count: number | undefined): Html =>
  html`<span class="label">${own(label)} </span>${own(count === undefined ? '–' : whole(count))}`

/** Without the present hour, which has less than a whole one and would look like a fall; unless it is the first. */
export function trend(values: readonly number[] = [], failures: readonly number[] = []): Html {
  const isFirst = ![...values.slice(0, -1), ...failures.slice(0, -1)].some((count) => count > 0)
  return isFirst ? spark(values, failures) : spark(values.slice(0, -1), failures.slice(0, -1))
}

/** Sources, as their own pages judge them. */
export function sourceTable(sources: readonly SeenSource[], count: number, nowMs: number): Html {
  const rows = sources.map((seen) => {
    const [finding] = findingsOf(seen, nowMs)
    const isWell = finding.mark === 'succeeded' || finding.mark === 'none'
    return { name: seen.source.name, seen, finding, weight: isWell ? 0 : 1, count: seen.day?.total.received ?? 0 }
  })
  return section(
    'sources',
    'Sources',
    count,
    table({
      caption: 'Sources, those that need a hand first',
      rows: first(rows),
      idOf: ({ name }) => `source-${name}`,
      columns: [
        nameColumn('source'),
        { title: 'State', onPhone: 'end', cell: ({ finding }) => stateOf(finding) },
        {
          title: 'Stored',
          kind: 'number',
          cell: ({ seen }) => number('stored, 24 h', seen.day?.total.received ?? none(seen)),
        },
        { title: 'Trend', onPhone: 'gone', cell: ({ seen }) => trend(seen.day?.receivedHourly) },
        {
          title: 'Last',
          kind: 'number',
          onPhone: 'end',
          cell: ({ seen }) => {
            const atMs = lastWebhookOf(seen)
            return atMs === undefined ? html`–` : ago(atMs, nowMs)
          },
        },
      ],
    }),
  )
}

/** Handlers, likewise. */
export function handlerTable(handlers: readonly SeenHandler[], count: number, nowMs: number): Html {
  const rows = handlers.map((seen) => {
    const [finding] = handlerFindings(seen, nowMs)
    return { name: seen.name, seen, finding, weight: -weightOf(seen, nowMs), count: seen.day?.handled ?? 0 }
  })
  return section(
    'handlers',
    'Handlers',
    count,
    rows.length === 0
      ? html`<div class="card pad"><p>No handler is registered: events are stored, and nothing runs. Put a module into the folder that <code>HANDLERS_DIR</code> names.</p></div>`
      : table({
          caption: 'Handlers, those that need a hand first',
          rows: first(rows),
          idOf: ({ name }) => `handler-${encodeURIComponent(name)}`,
          columns: [
            nameColumn('handler'),
            { title: 'State', onPhone: 'end', cell: ({ finding, seen }) => handlerState(finding, seen) },
            {
              title: 'Handled',
              kind: 'number',
              cell: ({ seen }) => number('handled, 24 h', seen.day?.handled ?? none(seen)),
            },
            {
              title: 'Trend',
              onPhone: 'gone',
              cell: ({ seen }) => trend(seen.day?.handledHourly, seen.day?.failedHourly),
            },
            {
              title: 'p50',
              kind: 'number',
              onPhone: 'end',
              cell: ({ seen }) => own(seen.day?.times.p50Ms === undefined ? '–' : duration(seen.day.times.p50Ms)),
            },
          ],
        }),
  )
}

/** With the number of its dead letters, which is what counts of them. */
const handlerState = (finding: Finding, seen: SeenHandler): Html =>
  finding.mark === 'dead' ? state('dead', html`${own(finding.word)} ${ownCount(deadCountOf(seen))}`) : stateOf(finding)

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
