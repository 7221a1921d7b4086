import type { RecordedAuditEntry } from '../../../domain/audit.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { pager, table } from '../html/table.ts'
import { counted, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'

const PAGE_SIZE = 50

export function registerAuditPage(routes: ConsoleRoutes, { store }: ConsolePorts): void {
  routes.page('/audit', async (visit) => {
    const { query } = visit
    const given = (name: string): string | undefined => query.get(name)?.trim() || undefined
    const [actor, action, cursor] = [given('actor'), given('action'), given('cursor')]
    const filter = { ...(actor !== undefined && { actor }), ...(action !== undefined && { action }) }
    const { items, nextCursor } = await store.audit.list(filter, {
      limit: PAGE_SIZE,
      ...(cursor !== undefined && { cursor }),
    })
    const older = new URLSearchParams(query)
    older.set('cursor', nextCursor ?? '')
    return {
      section: 'audit',
      title: 'Audit',
      content: listOf(items, nextCursor === undefined ? undefined : `/console/audit?${older.toString()}`, visit),
    }
  })
}

function listOf(items: readonly RecordedAuditEntry[], older: string | undefined, { nowMs, query }: Visit): Html {
  const field = (name: string, title: string, hint: string): Html =>
    html`<label class="field">${own(title)} <input name="${own(name)}" value="${own(query.get(name) ?? '')}" placeholder="${own(hint)}"></label>`
  return html`<div class="head"><div><h1>Audit</h1><p>Changes that persons and programs made.</p></div></div>
<form class="bar" method="get" action="/console/audit" role="search">${field('actor', 'Who', 'OPS_TOKEN, or a name')}${field('action', 'Action', 'event.*')}<button class="btn" type="submit">Filter</button></form>
${
  items.length === 0
    ? html`<div class="card pad"><p>No change${own(query.size === 0 ? ' yet' : ' matches')}.</p></div>`
    : table({
        caption: 'Changes, newest first',
        rows: items,
        columns: [
          { title: 'At, UTC', kind: 'short', cell: ({ atMs }) => time(atMs, nowMs) },
          {
            title: 'Outcome',
            onPhone: 'end',
            cell: ({ outcome, reason }) =>
              html`${outcome === 'done' ? state('succeeded', own('done')) : state('dead', own('failed'))}${reason === undefined ? NOTHING : html` <span class="muted">${show(reason, 60)}</span>`}`,
          },
          { title: 'Action', kind: 'name', onPhone: 'wide', cell: ({ action }) => html`<b>${own(action)}</b>` },
          { title: 'To what', kind: 'cut', onPhone: 'wide', cell: ({ target }) => show(target ?? '', 256) },
          {
            title: 'Number',
            kind: 'number',
            onPhone: 'gone',
            cell: ({ count }) => own(count === undefined ? '' : whole(count)),
          },
          {
            title: 'By',
            onPhone: 'wide',
            cell: ({ actor, tokenPlace, claimedName, peer }) =>
              html`${claimedName === undefined ? NOTHING : html`${show(claimedName, 64)}, `}${own(actor)}${own(tokenPlace === undefined ? '' : ` ${tokenPlace}`)} <span class="muted">${show(peer ?? '', 60)}</span>`,
          },
        ],
        foot: pager(own(counted(items.length, 'change')), older),
      })
}`
}
