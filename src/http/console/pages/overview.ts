import type { RunningReplica } from '../../../domain/replica-registry.ts'
import type { DayNumbers, StatsReport } from '../../../domain/stats.ts'
import type { ServiceStatus } from '../../../domain/status.ts'
import { again, live } from '../html/again.ts'
import { type Html, html, NOTHING, own, rendered } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import { ago, dated, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { Recent, within } from '../recent.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { isRange, numbers, RANGES, type Range } from './overview-numbers.ts'
import { problems } from './overview-problems.ts'
import { deadByHandler, handlerTable, replicaTable, sourceTable } from './overview-tables.ts'

/** How long a page is given again after it was made: fifty that are open ask ten times a second. */
const FRESH_MS = 3_000
/** What the store does not tell within this time is left out. The status has a time of its own. */
const TIMEOUT_MS = 2_000

export function registerOverview(routes: ConsoleRoutes, options: ConsolePorts): void {
  const made = new Recent<Html>(FRESH_MS, Object.keys(RANGES).length)
  const show = (visit: Visit): Promise<Html> => {
    const range = rangeOf(visit)
    return made.of(range, async () => rendered(overview(await read(options, range), options)))
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
interface Seen {
  readonly range: Range
  readonly nowMs: number
  readonly status: ServiceStatus
  readonly stats: StatsReport | undefined
  readonly day: DayNumbers | undefined
  readonly dead: ReadonlyMap<string, number> | undefined
  /** When the last event of each source came, also before this process began. */
  readonly lastEvents: ReadonlyMap<string, number | undefined> | undefined
  readonly replicas: readonly RunningReplica[] | undefined
}

async function read(options: ConsolePorts, range: Range): Promise<Seen> {
  const nowMs = options.clock()
  const [status, stats, day, dead, lastEvents, replicas] = await Promise.all([
    options.status(),
    inTime(options.recentStats(RANGES[range])),
    inTime(options.day()),
    inTime(options.deadCauses({}).then(deadByHandler)),
    inTime(lastEventsOf(options)),
    options.replicas === undefined ? undefined : inTime(options.replicas()),
  ])
  return { range, nowMs, status, stats, day, dead, lastEvents, replicas }
}

/** Sources that are asked for; each takes a query. */
const MAX_SOURCES = 50

async function lastEventsOf({ sources, sourceState }: ConsolePorts): Promise<ReadonlyMap<string, number | undefined>> {
  const states = sources()
    .slice(0, MAX_SOURCES)
    .map(async ({ name }) => [name, (await sourceState(name)).lastWebhookAtMs] as const)
  return new Map(await Promise.all(states))
}

const inTime = <Value>(promise: Promise<Value>): Promise<Value | undefined> => within(TIMEOUT_MS, promise)

const isAsking = (range: Range, nowMs: number): Html =>
  again({ path: `/console/part/overview?range=${range}`, into: 'overview', seconds: 5, nowMs, steady: 'hand' })

const overview = (
  { range, nowMs, status, stats, day, dead, lastEvents, replicas }: Seen,
  options: ConsolePorts,
): Html => html`
<div class="head"><div><h1>${headline(status)}</h1><p>As of ${dated(nowMs)}</p></div>${live('Live, every 5 s')}${isAsking(range, nowMs)}</div>
${problems(status, nowMs)}
${status.lastEventAtMs === undefined && stats?.total.received === 0 ? FIRST_STEPS : NOTHING}
${numbers(range, stats, status, nowMs)}
<div class="two">${sourceTable({ names: options.sources().map(({ name }) => name), lastEventAtMs: (source) => options.sourceHealth(source).lastWebhookAtMs ?? lastEvents?.get(source), status, day, nowMs })}
${handlerTable({ names: options.handlers().map(({ name }) => name), status, day, dead })}</div>
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
