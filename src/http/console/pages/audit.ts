import { AUDIT_ACTORS, type AuditFilter, type RecordedAuditEntry } from '../../../domain/audit.ts'
import { DAY_MS } from '../../../domain/clock.ts'
import { HoldfastError, isHoldfastError } from '../../../domain/errors.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import { state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { pager, table } from '../html/table.ts'
import { counted, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { timeOf } from '../search-words.ts'

const PAGE_SIZE = 30
const MAX_FIELD = 256

const FIELDS = [
  { name: 'actor', title: 'Who', hint: 'OPS_TOKEN, ana' },
  { name: 'action', title: 'Action', hint: 'replay.*' },
  { name: 'since', title: 'Since', hint: '2h, 2026-11-26' },
  { name: 'until', title: 'Until', hint: '2026-11-27' },
] as const

/** Who changed what. */
export function registerAuditPage(routes: ConsoleRoutes, { store }: ConsolePorts): void {
  routes.page('/audit', async (visit): Promise<Page> => {
    const shown = { section: 'audit', title: 'Audit' } as const
    try {
      const { query } = visit
      const cursor = query.get('cursor') || undefined
      const filter = filterOf(visit)
      const page = { limit: PAGE_SIZE, ...(cursor !== undefined && { cursor }) }
      const { items, nextCursor } = await store.audit.list(filter, page)
      const older = nextCursor === undefined ? undefined : urlOf(query, nextCursor)
      const isFiltered = Object.keys(filter).length > 0 || cursor !== undefined
      const content = html`${heading}${fields(visit)}${items.length === 0 ? empty(isFiltered) : listOf(items, older, visit)}`
      return { ...shown, content }
    } catch (error) {
      if (!isHoldfastError(error, 'invalid_request')) throw error
      return { ...shown, status: 400, content: html`${heading}${fields(visit, error.message)}` }
    }
  })
}

function filterOf({ query, nowMs }: Visit): AuditFilter {
  const given = (name: string): string | undefined => query.get(name)?.trim() || undefined
  const [actor, action, since, until] = FIELDS.map(({ name }) => given(name))
  for (const text of [actor, action])
    if (text !== undefined && (text.length > MAX_FIELD || text.includes('\0')))
      throw new HoldfastError('invalid_request', `a filter has at most ${MAX_FIELD} characters, and no NUL`)
  return {
    ...(actor !== undefined && { actor }),
    ...(action !== undefined && { action }),
    ...(since !== undefined && { sinceMs: timeOf(since, nowMs, `since ${since}`) }),
    ...(until !== undefined && { untilMs: timeOf(until, nowMs, `until ${until}`, DAY_MS) }),
  }
}

/** The URL of the list from the cursor on, with the same filter. */
function urlOf(query: URLSearchParams, cursor: string): string {
  const next = new URLSearchParams(query)
  next.set('cursor', cursor)
  return `/console/audit?${next.toString()}`
}

const heading = html`<div class="head"><div><h1>Audit</h1><p>Changes that persons and programs made: here, through the API, and by the command line.</p></div></div>`

const fields = ({ query }: Visit, fault?: string): Html =>
  html`<form class="bar filters" method="get" action="/console/audit" role="search">${FIELDS.map(
    ({ name, title, hint }) =>
      html`<label class="field">${own(title)} <input name="${own(name)}" value="${own(query.get(name) ?? '')}" placeholder="${own(hint)}" autocomplete="off" spellcheck="false"${name === 'actor' ? ACTORS : NOTHING}></label>`,
  )}<button class="btn" type="submit">Filter</button>${when(query.size > 0, () => html`<a class="btn plain" href="/console/audit">Clear</a>`)}<datalist id="actors">${AUDIT_ACTORS.map((actor) => html`<option value="${own(actor)}">`)}</datalist></form>${fault === undefined ? NOTHING : html`<p class="bad" role="alert">${show(fault)}</p>`}`

const ACTORS = html` list="actors"`

const empty = (isFiltered: boolean): Html =>
  isFiltered
    ? html`<div class="card pad stack"><p>No change matches.</p><p><a href="/console/audit">All changes</a></p></div>`
    : html`<div class="card pad stack"><p>No change yet.</p><p class="muted">Replays, discards, pauses, reloads and all else that changes something will stand here, with who asked for it.</p></div>`

const listOf = (items: readonly RecordedAuditEntry[], older: string | undefined, { nowMs }: Visit): Html =>
  table({
    caption: 'Changes, newest first',
    rows: items,
    columns: [
      { title: 'At, UTC', kind: 'short', cell: ({ atMs }) => time(atMs, nowMs) },
      {
        title: 'Outcome',
        onPhone: 'end',
        cell: ({ outcome, reason }) =>
          html`${outcome === 'done' ? state('succeeded', own('done')) : state('dead', own('failed'))}${reason === undefined || outcome === 'done' ? NOTHING : html` <span class="muted">${show(reason.replaceAll('-', ' '), 80)}</span>`}`,
      },
      {
        title: 'Action',
        kind: 'name',
        onPhone: 'wide',
        cell: ({ action }) =>
          html`<a class="row" href="/console/audit?action=${own(encodeURIComponent(action))}">${own(action)}</a>`,
      },
      { title: 'To what', kind: 'cut', onPhone: 'wide', cell: toWhat },
      {
        title: 'Number',
        kind: 'number',
        onPhone: 'gone',
        cell: ({ count }) => own(count === undefined ? '' : whole(count)),
      },
      { title: 'By', kind: 'third', onPhone: 'wide', cell: byWhom },
    ],
    foot: pager(html`${own(counted(items.length, 'change'))}, newest first.`, older),
  })

const UID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/

/** Pages about what was changed, by the noun of the action. */
const PAGES: Readonly<Record<string, string>> = {
  event: 'events',
  replay: 'replays',
  handler: 'handlers',
  source: 'sources',
}

/** What it was done to, and why, if the person said so. */
const toWhat = (entry: RecordedAuditEntry): Html =>
  html`${targetOf(entry)}${entry.outcome === 'done' && entry.reason !== undefined ? html`<p class="small muted">${show(entry.reason, 256)}</p>` : NOTHING}`

function targetOf({ action, target }: RecordedAuditEntry): Html {
  if (target === undefined) return NOTHING
  const page = PAGES[action.split(/[._]/, 1)[0] ?? '']
  const isNamed = page === 'handlers' || page === 'sources'
  const name = isNamed ? target : UID.exec(target)?.[0]
  if (page === undefined || name === undefined || name === '') return show(target, 256)
  return html`<a href="/console/${own(page)}/${own(encodeURIComponent(name))}">${show(target, 256)}</a>`
}

/** The name that the client gave itself, its right, and its address. */
const byWhom = ({ actor, tokenPlace, claimedName, peer, agent }: RecordedAuditEntry): Html =>
  html`${claimedName === undefined ? NOTHING : html`<b>${show(claimedName, 64)}</b>, `}${own(actor)}${own(tokenPlace === undefined ? '' : `, number ${tokenPlace}`)} <span class="muted">${show(peer ?? '', 60)}${agent === undefined ? NOTHING : html`, ${show(programOf(agent), 40)}`}</span>`

/** Browsers name many others; of them it is enough that it was a browser. */
const programOf = (agent: string): string => (agent.startsWith('Mozilla/') ? 'a browser' : agent)
