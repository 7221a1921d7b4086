import { live } from '../html/again.ts'
import { type Html, html, own } from '../html/html.ts'
import { LIVE, livePart, livePartAgain } from '../html/live-part.ts'
import { show } from '../html/show.ts'
import { type Slice, sliceOf, slicePager, table } from '../html/table.ts'
import { duration, ownCount, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { stateOf } from './finding.ts'
import { registerHandlerPage } from './handler.ts'
import { deadCountOf, handlerFindings, namesOf, type SeenHandler, seeHandlers, weightOf } from './handler-state.ts'
import { trend } from './overview-tables.ts'
import { pathOf, registerPausing } from './pausing.ts'
import { RELOAD } from './source-state.ts'

const PAGE_SIZE = 30
/** Handlers that are judged and listed, those first that do not run. */
const MAX_JUDGED = 500

export function registerHandlerPages(routes: ConsoleRoutes, options: ConsolePorts): void {
  const list = async (visit: Visit) => {
    const names = worstFirst(await namesOf(options), options)
    const judged = await seeHandlers(names.slice(0, MAX_JUDGED), options)
    const sorted = judged.toSorted((one, other) => weightOf(one, visit.nowMs) - weightOf(other, visit.nowMs))
    const slice = sliceOf(sorted, visit.query, PAGE_SIZE)
    const content = html`<div class="head"><div><h1>Handlers</h1><p>Your code, which runs for events.</p></div>${live(LIVE)}</div>${slice.items.length === 0 ? empty(options) : listOf(slice, visit)}`
    return { id: 'handlers', path: `/console/part/handlers?from=${slice.from}`, nowMs: visit.nowMs, content }
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

/** Those first that do not run: not every one may be judged. */
const worstFirst = (names: readonly string[], { isRunning }: ConsolePorts): readonly string[] =>
  names.toSorted((one, other) => Number(isRunning(one)) - Number(isRunning(other)))

function listOf(slice: Slice<SeenHandler>, { nowMs }: Visit): Html {
  const rows = slice.items
  const number = (label: string, value: number | undefined): Html =>
    html`<span class="label">${own(label)} </span>${own(value === undefined ? '–' : whole(value))}`
  return table({
    caption: 'Handlers, those that need a hand first',
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
        cell: (seen) => stateOf(handlerFindings(seen, nowMs)[0]),
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
        cell: ({ waiting }) => html`<span class="label">waiting </span>${ownCount(waiting?.pending)}`,
      },
      {
        title: 'Dead',
        kind: 'number',
        cell: (seen) => html`<span class="label">dead </span>${ownCount(deadCountOf(seen))}`,
      },
      {
        title: 'Handled, 24 h',
        kind: 'number',
        onPhone: 'end',
        cell: ({ day, isCounted }) => number('handled, 24 h', day?.handled ?? (isCounted ? 0 : undefined)),
      },
      { title: 'Trend', onPhone: 'gone', cell: ({ day }) => trend(day?.handledHourly, day?.failedHourly) },
      {
        title: 'p50',
        kind: 'number',
        onPhone: 'gone',
        cell: ({ day }) => own(day?.times.p50Ms === undefined ? '–' : duration(day.times.p50Ms)),
      },
    ],
    foot: slicePager(slice, 'handler', '/console/handlers'),
  })
}

function empty({ configuration }: ConsolePorts): Html {
  const folder = configuration().settings.find(({ name }) => name === 'HANDLERS_DIR')?.value
  return html`<div class="card pad stack"><p><b>No handler is registered.</b> Events are stored, and nothing runs. Put a module into the folder ${folder === undefined ? html`that <code>HANDLERS_DIR</code> names` : html`<code>${show(folder, 300)}</code>`}, and ${RELOAD}:</p>
<pre class="trace" tabindex="0" role="region" aria-label="A handler">export default (router) =&gt; {
  router.on('invoice.paid', async (event) =&gt; { … })
}</pre></div>`
}
