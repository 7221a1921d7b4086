import type { DeliverySummary } from '../../../domain/delivery.ts'
import type { Page as ListPage } from '../../../domain/page.ts'
import { Budget } from '../html/budget.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { plain, show } from '../html/show.ts'
import { type Column, pager, table } from '../html/table.ts'
import { counted, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { views } from './dead-views.ts'
import { type Asked, bulkUrl } from './meant.ts'
import { selectionBar, selectionForm } from './selection-form.ts'
import { signatureShown } from './signature.ts'

const PAGE_SIZE = 30
/** What all errors of a page may take; of further ones only the beginning is shown. */
const MAX_ERROR_BYTES = 12_000
const FILTERS = ['handler', 'source', 'cause'] as const

/** The dead letters one by one, the last to die first. */
export function registerDeadList(routes: ConsoleRoutes, { store, deadCauses }: ConsolePorts): void {
  routes.page('/dead/list', async (visit) => {
    const filter = Object.fromEntries(
      FILTERS.flatMap((name) => {
        const value = visit.query.get(name) ?? ''
        return value === '' ? [] : [[name, value]]
      }),
    ) as Asked
    const cursor = visit.query.get('cursor') || undefined
    const [page, causes] = await Promise.all([
      store.deliveries({ ...filter, state: 'dead' }, { limit: PAGE_SIZE, ...(cursor !== undefined && { cursor }) }),
      filter.cause === undefined ? undefined : deadCauses(filter),
    ])
    const signature = causes?.causes[0]?.signature
    return { section: 'dead', title: 'Dead letters, one by one', content: list(filter, page, signature, visit) }
  })
}

type Filter = Asked

function list(filter: Filter, page: ListPage<DeliverySummary>, signature: string | undefined, visit: Visit): Html {
  const { handler, source } = filter
  const group = handler === undefined ? '/console/dead' : `/console/dead?handler=${encodeURIComponent(handler)}`
  const of = [
    ...(handler === undefined ? [] : [html`handler <b>${show(handler, 60)}</b>`]),
    ...(source === undefined ? [] : [html`source <b>${show(source, 60)}</b>`]),
    ...(signature === undefined ? [] : [html`<code>${signatureShown(signature)}</code>`]),
  ]
  return html`<div><p class="crumb"><a href="${own(group)}">Dead letters by cause</a></p><div class="head"><h1>Dead letters, one by one</h1>${views(handler ?? '', 'list')}</div><p class="meta">${of.map((each) => html`<span>${each}</span>`)}${when(of.length > 0, () => html`<a href="/console/dead/list">all dead letters</a>`)}</p></div>
${page.items.length === 0 ? html`<div class="card pad"><p>Nothing is dead ${own(of.length === 0 ? 'now' : 'of this any more')}.</p></div>` : rows(filter, page, visit)}`
}

function rows(filter: Filter, { items, nextCursor }: ListPage<DeliverySummary>, visit: Visit): Html {
  const { nowMs, mayChange } = visit
  const older = new URLSearchParams({ ...filter, cursor: nextCursor ?? '' })
  const errors = new Budget(MAX_ERROR_BYTES)
  const shown = table<DeliverySummary>({
    caption: 'Dead letters, the last to die first',
    rows: items,
    head: mayChange ? bulk(filter) : NOTHING,
    columns: [
      ...(mayChange ? [SELECTION] : []),
      { title: 'Died, UTC', kind: 'short', cell: ({ dueAtMs }) => time(dueAtMs, nowMs) },
      {
        title: 'Type',
        kind: 'name',
        onPhone: 'wide',
        cell: ({ eventUid, type }) =>
          html`<a class="row" href="/console/events/${own(eventUid)}">${show(type, 60)}</a>`,
      },
      {
        title: 'Error',
        kind: 'cut',
        onPhone: 'wide',
        cell: ({ lastError = '' }) => errors.take(show(lastError, 200)) ?? show(lastError, 20),
      },
      ...(filter.handler === undefined ? [HANDLER] : []),
      ...(filter.source === undefined ? [SOURCE] : []),
      {
        title: 'Uid',
        kind: 'mono',
        onPhone: 'gone',
        cell: ({ eventUid }) => html`<a href="/console/events/${own(eventUid)}">…${own(eventUid.slice(-6))}</a>`,
      },
    ],
    foot: pager(
      own(`${counted(items.length, 'dead letter')}, the last to die first.`),
      nextCursor === undefined ? undefined : `/console/dead/list?${older.toString()}`,
    ),
  })
  return selectionForm(visit, { ...filter, view: 'list' }, shown)
}

const SELECTION: Column<DeliverySummary> = {
  title: 'Select',
  isTitleHidden: true,
  cell: ({ eventUid, type, handler }) =>
    html`<input type="checkbox" name="uid" value="${own(`${eventUid}:${handler}`)}" aria-label="Select ${plain(type, 44)}, ${own(eventUid.slice(-6))}, ${plain(handler, 24)}">`,
}
const HANDLER: Column<DeliverySummary> = { title: 'Handler', onPhone: 'gone', cell: ({ handler }) => show(handler, 40) }
const SOURCE: Column<DeliverySummary> = { title: 'Source', onPhone: 'gone', cell: ({ source }) => show(source, 40) }

const bulk = (filter: Filter): Html => {
  const all = { ...filter, q: 'outcome:dead', view: 'list' }
  return selectionBar(
    html`<span class="muted">All of them:</span> <a class="btn" href="${own(bulkUrl('replay', all))}" data-key="a">Replay…</a> <a class="btn" href="${own(bulkUrl('discard', all))}">Discard…</a>`,
  )
}
