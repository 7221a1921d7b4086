import type { SourceView } from '../../schemas/configuration.ts'
import { live } from '../html/again.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { LIVE, livePart, livePartAgain } from '../html/live-part.ts'
import { show } from '../html/show.ts'
import { sliceOf, slicePager, table } from '../html/table.ts'
import { ago, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { stateOf } from './finding.ts'
import { trend } from './overview-tables.ts'
import { pathOf, registerPausing } from './pausing.ts'
import { refusedIn } from './refusals.ts'
import { registerRegistrationPage } from './registrations.ts'
import { registerSample } from './send-sample.ts'
import { registerSourcePage } from './source.ts'
import { findingsOf, lastWebhookOf, RELOAD, type SeenSource, seeSource } from './source-state.ts'

const PAGE_SIZE = 30

export function registerSourcePages(routes: ConsoleRoutes, options: ConsolePorts): void {
  const { sources } = options
  const list = async (visit: Visit) => {
    const slice = sliceOf(worstFirst(options), visit.query, PAGE_SIZE)
    const seen = await Promise.all(slice.items.map((source) => seeSource(source, options)))
    return {
      id: 'sources',
      path: `/console/part/sources?from=${slice.from}`,
      nowMs: visit.nowMs,
      content: html`<div class="head"><div><h1>Sources</h1><p>Senders of webhooks, each with a URL and secrets of its own.</p></div>${live(LIVE)}</div>${listOf(seen, slicePager(slice, 'source', '/console/sources'), visit)}`,
    }
  }
  routes.page('/sources', async (visit) => ({
    section: 'sources',
    title: 'Sources',
    content: livePart(await list(visit)),
  }))
  routes.part('/sources', async (visit) => livePartAgain(await list(visit)))

  registerSourcePage(routes, options)
  registerRegistrationPage(routes, options)
  registerSample(routes, options)
  registerPausing(routes, 'source', () => sources().map(({ name }) => name), options)
}

/** In the order of the configuration, those first whose webhooks do not come in. */
function worstFirst({ sources, sourceHealth, pauses }: ConsolePorts): readonly SourceView[] {
  const weight = ({ name }: SourceView): number => {
    const { refusingSinceMs, silentSinceMs } = sourceHealth(name)
    if (refusingSinceMs !== undefined) return 0
    if (silentSinceMs !== undefined) return 1
    return pauses.find('source', name) === undefined ? 3 : 2
  }
  return sources().toSorted((one, other) => weight(one) - weight(other))
}

const nameOf = ({ source }: SeenSource): string => source.name
const count = (label: string, { isCounted }: SeenSource, value = isCounted ? 0 : undefined): Html =>
  html`<span class="label">${own(label)} </span>${own(value === undefined ? '–' : whole(value))}`

function listOf(rows: readonly SeenSource[], foot: Html, { nowMs }: Visit): Html {
  if (rows.length === 0) return EMPTY
  return table({
    caption: 'Sources, those first whose webhooks do not come in',
    rows,
    idOf: (seen) => `source-${nameOf(seen)}`,
    columns: [
      {
        title: 'Source',
        kind: 'name',
        cell: (seen) =>
          html`<a class="row" href="${own(pathOf('source', nameOf(seen)))}">${show(nameOf(seen), 60)}</a>${seen.source.provider.name === nameOf(seen) ? NOTHING : html` <span class="muted small">${show(seen.source.provider.name, 40)}</span>`}`,
      },
      { title: 'State', kind: 'short', onPhone: 'end', cell: (seen) => stateOf(findingsOf(seen, nowMs)[0]) },
      {
        title: 'Reason',
        kind: 'cut',
        onPhone: 'wide',
        cell: (seen) => html`<span class="muted">${findingsOf(seen, nowMs)[0].why}</span>`,
      },
      { title: 'Stored, 24 h', kind: 'number', cell: (seen) => count('stored, 24 h', seen, seen.day?.total.received) },
      {
        title: 'Refused, 24 h',
        kind: 'number',
        cell: (seen) => count('refused', seen, seen.day && refusedIn(seen.day.total)),
      },
      { title: 'Trend', onPhone: 'gone', cell: ({ day }) => trend(day?.receivedHourly) },
      {
        title: 'Last',
        kind: 'number',
        onPhone: 'end',
        cell: (seen) => {
          const lastMs = lastWebhookOf(seen)
          return lastMs === undefined ? html`–` : ago(lastMs, nowMs)
        },
      },
    ],
    foot,
  })
}

const EMPTY = html`<div class="card pad stack"><p><b>No source is configured.</b> A source is one sender, with a URL and secrets of its own. Name it, give it its secret, and ${RELOAD}:</p>
<pre class="trace" tabindex="0" role="region" aria-label="Settings of a source">SOURCES=stripe
SOURCE_STRIPE_SECRET=whsec_…</pre></div>`
