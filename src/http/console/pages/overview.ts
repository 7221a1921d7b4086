import type { RunningReplica } from '../../../domain/replica-registry.ts'
import type { StatsReport } from '../../../domain/stats.ts'
import type { ServiceStatus } from '../../../domain/status.ts'
import { again, live } from '../html/again.ts'
import { type Html, html, NOTHING, own, rendered } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import { ago, dated, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { inTime, Recent } from '../recent.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { namesOf, type SeenHandler, seeHandlers } from './handler-state.ts'
import { isRange, numbers, RANGES, type Range } from './overview-numbers.ts'
import { problems } from './overview-problems.ts'
import { handlerTable, replicaTable, sourceTable } from './overview-tables.ts'
import { type SeenSource, seeSource } from './source-state.ts'

/** How long a page is given again after it was made: fifty that are open ask ten times a second. */
const FRESH_MS = 3_000

export function registerOverview(routes: ConsoleRoutes, options: ConsolePorts): void {
  const made = new Recent<Html>(FRESH_MS, Object.keys(RANGES).length)
  const show = (visit: Visit): Promise<Html> => {
    const range = rangeOf(visit)
    return made.of(range, async () => rendered(overview(await read(options, range))))
  }
  routes.page(
    '',
    async (visit): Promise<Page> => ({
      section: 'overview',
      title: 'Overview',
      content: html`<div class="sheet" id="overview">${await show(visit)}</div>`,
    }),
  )
  routes.part('/overview', show)
}

const rangeOf = ({ query }: Visit): Range => {
  const range = query.get('range')
  return isRange(range) ? range : '24h'
}

/** Undefined: the store does not tell. */
export interface Seen {
  readonly range: Range
  readonly nowMs: number
  readonly status: ServiceStatus
  readonly stats: StatsReport | undefined
  readonly sources: readonly SeenSource[]
  readonly handlers: readonly SeenHandler[]
  readonly replicas: readonly RunningReplica[] | undefined
}

async function read(options: ConsolePorts, range: Range): Promise<Seen> {
  const nowMs = options.clock()
  const [status, stats, sources, handlers, replicas] = await Promise.all([
    options.status().then(once),
    inTime(options.recentStats(RANGES[range])),
    seeSources(options),
    namesOf(options).then((names) => seeHandlers(names.slice(0, MAX_HANDLERS), options)),
    options.replicas === undefined ? undefined : inTime(options.replicas()),
  ])
  return { range, nowMs, status, stats, sources, handlers, replicas }
}

/** A full disk is one thing: the store names it, too. */
function once(status: ServiceStatus): ServiceStatus {
  const isFailing = status.problems.some(({ problem }) => problem === 'store_failing')
  return isFailing ? { ...status, problems: status.problems.filter(({ problem }) => problem !== 'disk_low') } : status
}

/** What is judged for the tables, which show the first of them; the state of each source takes a query. */
const MAX_SOURCES = 50
const MAX_HANDLERS = 200

/** Those with a problem are among them. */
async function seeSources(options: ConsolePorts): Promise<readonly SeenSource[]> {
  const { problems: known } = await options.status()
  const isWell = ({ name }: { readonly name: string }): number => (known.some(({ source }) => source === name) ? 0 : 1)
  const chosen = options
    .sources()
    .toSorted((one, other) => isWell(one) - isWell(other))
    .slice(0, MAX_SOURCES)
  return Promise.all(chosen.map((source) => seeSource(source, options)))
}

const isAsking = (range: Range, nowMs: number): Html =>
  again({ path: `/console/part/overview?range=${range}`, into: 'overview', seconds: 5, nowMs, steady: 'hand' })

export const overview = ({ range, nowMs, status, stats, sources, handlers, replicas }: Seen): Html => html`
<div class="head"><div><h1>${headline(status)}</h1><p>As of ${dated(nowMs)}</p></div>${live('Live, every 5 s')}${isAsking(range, nowMs)}</div>
${problems(status, nowMs)}
${status.lastEventAtMs === undefined && stats?.total.received === 0 ? FIRST_STEPS : NOTHING}
${numbers(range, stats, status, nowMs)}
<div class="two">${sourceTable(sources, status.sources, nowMs)}
${handlerTable(handlers, status.handlers, nowMs)}</div>
${replicas === undefined || replicas.length < 2 ? NOTHING : replicaTable(replicas, nowMs)}`

const FIRST_STEPS = html`<p class="note">No event has come yet. <a href="/console/sources">Give a provider the URL of a source</a>, or send yourself a first event with <code>holdfast send</code>.</p>`

function headline({ problems: all, role, store, lastEventAtMs, atMs }: ServiceStatus): Html {
  const isReceiving = store.faults.length === 0 && !all.some(({ problem }) => problem === 'routes_unknown')
  const first = role === 'worker' ? 'Working' : isReceiving ? 'Receiving' : 'Not receiving'
  const some = all.filter(({ severity }) => severity !== 'notice').length
  if (some > 0)
    return html`${own(first)}. ${own(some === 1 ? 'One thing needs' : `${numberWord(some)} things need`)} a hand.`
  const last = lastEventAtMs === undefined ? html`No event yet.` : html`Last event ${ago(lastEventAtMs, atMs)}.`
  return html`${own(first)}. Nothing needs a hand. ${last}`
}

const NUMBERS = ['No', 'One', 'Two', 'Three', 'Four', 'Five', 'Six', 'Seven', 'Eight', 'Nine', 'Ten']
const numberWord = (count: number): string => NUMBERS[count] ?? whole(count)
