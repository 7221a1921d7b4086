import { live } from '../html/again.ts'
import { type Html, html, own } from '../html/html.ts'
import { LIVE, livePart, livePartAgain } from '../html/live-part.ts'
import { show } from '../html/show.ts'
import { pager, table } from '../html/table.ts'
import { capped, counted, duration, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { registerHandlerPage } from './handler.ts'
import {
  deadCountOf,
  handlerFindings,
  handlerStateOf,
  namesOf,
  type SeenHandler,
  seeHandlers,
} from './handler-state.ts'
import { trend } from './overview-tables.ts'
import { pathOf, registerPausing } from './pausing.ts'

const PAGE_SIZE = 30

export function registerHandlerPages(routes: ConsoleRoutes, options: ConsolePorts): void {
  const list = async (visit: Visit) => {
    const from = Math.max(0, Math.trunc(Number(visit.query.get('from') ?? 0)) || 0)
    const names = worstFirst(await namesOf(options), options)
    const seen = await seeHandlers(names.slice(from, from + PAGE_SIZE), options)
    const older = from + PAGE_SIZE < names.length ? `/console/handlers?from=${from + PAGE_SIZE}` : undefined
    const content = html`<div class="head"><div><h1>Handlers</h1><p>Your code, which runs for events.</p></div>${live(LIVE)}</div>${listOf(seen, older, visit)}`
    return { id: 'handlers', path: `/console/part/handlers?from=${from}`, nowMs: visit.nowMs, content }
  }
  routes.page('/handlers', async (visit) => ({
    section: 'handlers',
    title: 'Handlers',
    content: livePart(await list(visit)),
  }))
  routes.part('/handlers', async (visit) => livePartAgain(await list(visit)))
  registerHandlerPage(routes, options)
  registerPausing(routes, 'handler', () => options.handlers().map(({ name }) => name), options)
}

/** Those first that do not run, or are paused. */
function worstFirst(names: readonly string[], { handlers, isRunning, pauses }: ConsolePorts): readonly string[] {
  const known = new Set(handlers().map(({ name }) => name))
  const weight = (name: string): number => {
    if (!known.has(name) || !isRunning(name)) return 0
    return pauses.find('handler', name) === undefined ? 2 : 1
  }
  return names.toSorted((one, other) => weight(one) - weight(other))
}

function listOf(rows: readonly SeenHandler[], older: string | undefined, { nowMs }: Visit): Html {
  if (rows.length === 0) return EMPTY
  const number = (label: string, value: number | undefined): Html =>
    html`<span class="label">${own(label)} </span>${own(value === undefined ? '–' : whole(value))}`
  return table({
    caption: 'Handlers, those first that do not run or are paused',
    rows,
    idOf: ({ name }) => `handler-${encodeURIComponent(name)}`,
    columns: [
      {
        title: 'Handler',
        kind: 'name',
        cell: ({ name }) => html`<a class="row" href="${own(pathOf('handler', name))}">${show(name, 80)}</a>`,
      },
      {
        title: 'State',
        kind: 'short',
        onPhone: 'end',
        cell: (seen) => handlerStateOf(handlerFindings(seen, nowMs)[0]),
      },
      {
        title: 'Reason',
        kind: 'cut',
        onPhone: 'wide',
        cell: (seen) => html`<span class="muted">${handlerFindings(seen, nowMs)[0].why}</span>`,
      },
      {
        title: 'Waiting',
        kind: 'number',
        cell: ({ waiting }) =>
          html`<span class="label">waiting </span>${own(waiting === undefined ? '–' : capped(waiting.pending))}`,
      },
      {
        title: 'Dead',
        kind: 'number',
        cell: (seen) => html`<span class="label">dead </span>${own(capped(deadCountOf(seen)))}`,
      },
      {
        title: '24 h',
        kind: 'number',
        onPhone: 'end',
        cell: ({ day, isCounted }) => number('24 h', day?.handled ?? (isCounted ? 0 : undefined)),
      },
      { title: 'Trend', onPhone: 'gone', cell: ({ day }) => trend(day?.handledHourly, day?.failedHourly) },
      {
        title: 'p50',
        kind: 'number',
        onPhone: 'gone',
        cell: ({ day }) => own(day?.times.p50Ms === undefined ? '–' : duration(day.times.p50Ms)),
      },
    ],
    foot: pager(own(counted(rows.length, 'handler')), older),
  })
}

const EMPTY = html`<div class="card pad stack"><p><b>No handler is registered.</b> Events are stored, and nothing runs. Put a module into the folder that <code>HANDLERS_DIR</code> names, and restart or reload:</p>
<pre class="trace" tabindex="0" role="region" aria-label="A handler">export default (router) =&gt; {
  router.on('invoice.paid', async (event) =&gt; { … })
}</pre></div>`
