import type { DeadCause } from '../../../domain/dead-letters.ts'
import { HoldfastError } from '../../../domain/errors.ts'
import type { EventSummary } from '../../../domain/event.ts'
import type { HandlerDefinition } from '../../../domain/handler.ts'
import { type AttemptPolicy, attemptPolicyOf } from '../../../domain/handler-policy.ts'
import type { StatTimes } from '../../../domain/stats.ts'
import { live } from '../html/again.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { LIVE, livePart, livePartAgain } from '../html/live-part.ts'
import { mark } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { table } from '../html/table.ts'
import { ago, capped, duration, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { inTime } from '../recent.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { stateOf } from './finding.ts'
import { handlerFindings, namesOf, type SeenHandler, seeHandlers } from './handler-state.ts'
import { groupOf } from './overview-problems.ts'
import { pathOf, pausing, resuming } from './pausing.ts'
import { signatureShown } from './signature.ts'

const CAUSES_SHOWN = 10
const FAILURES_SHOWN = 8
/** Causes whose dead deliveries are listed, those of the latest deaths. */
const CAUSES_LOOKED_AT = 4

export function registerHandlerPage(routes: ConsoleRoutes, options: ConsolePorts): void {
  const { attempts } = options
  const see = async ({ params: { name = '' } }: Visit): Promise<SeenHandler> => {
    const isKnown = options.handlers().some((handler) => handler.name === name)
    const seen =
      isKnown || (await namesOf(options)).includes(name) ? (await seeHandlers([name], options))[0] : undefined
    if (seen === undefined) throw new HoldfastError('handler_not_found', `there is no handler ${name}`)
    return seen
  }
  const work = async (visit: Visit) => {
    const seen = await see(visit)
    const path = `/console/part/handlers/${encodeURIComponent(seen.name)}`
    return { id: 'work', path, nowMs: visit.nowMs, content: workOf(seen, visit), seen }
  }
  routes.part('/handlers/:name', async (visit) => livePartAgain(await work(visit)))

  const failed = async (visit: Visit) => {
    const { name = '' } = visit.params
    const content = failuresList(await inTime(failuresOf(name, options)), visit)
    return {
      id: 'failed',
      path: `/console/part/handlers/${encodeURIComponent(name)}/failures`,
      nowMs: visit.nowMs,
      content,
    }
  }
  routes.part('/handlers/:name/failures', async (visit) => livePartAgain(await failed(visit)))

  routes.page('/handlers/:name', async (visit) => {
    const [part, failures] = await Promise.all([work(visit), failed(visit)])
    const { name, handler, pause } = part.seen
    return {
      section: 'handlers',
      title: name,
      content: html`${livePart(part)}
<div class="two"><div class="stack">${
        handler === undefined
          ? NOTHING
          : html`${policyOf(handler, attempts(), options)}
${pausing('handler', name, pause, visit)}`
      }</div>
${livePart(failures)}</div>`,
    }
  })
}

/** Whether it keeps up, and what is dead. */
function workOf(seen: SeenHandler, visit: Visit): Html {
  const { nowMs } = visit
  const { day, waiting, causes, name, pause } = seen
  const [first, ...rest] = handlerFindings(seen, nowMs)
  const fact = (title: string, value: string, sub: Html): Html =>
    html`<div><dt>${own(title)}</dt><dd>${own(value)}</dd><dd class="sub">${sub}</dd></div>`
  const sinceMs = waiting?.dueSinceMs
  return html`<div><p class="crumb"><a href="/console/handlers">Handlers</a></p><div class="head"><h1>${show(name, 80)}</h1><div class="bar">${live(LIVE)}${resuming('handler', name, pause, visit)}</div></div></div>
<div class="card pad stack"><p class="says">${stateOf(first)} ${first.says}</p>${when(rest.length > 0, () => html`<ul class="steps">${rest.map(({ mark: shape, tone, word, says }) => html`<li>${mark(shape, tone)}<span><b>${own(word)}</b>: ${says}</span></li>`)}</ul>`)}</div>
<dl class="facts card">
${fact('Waiting', waiting === undefined ? '–' : capped(waiting.pending), sinceMs === undefined ? own(waiting === undefined ? '' : 'none is due') : html`oldest due ${ago(sinceMs, nowMs)}`)}
${fact('Handled this hour', rate(seen, day?.handledHourly.at(-1)), own(failedText(day?.failedHourly.at(-1))))}
${fact('Handled, 24 h', rate(seen, day?.handled), own(failedText(day?.failed)))}
${times('Run time, 24 h', day?.times)}
${times('Queue delay, 24 h', day?.queue)}
</dl>
${causesOf(name, causes ?? [], nowMs)}`
}

const rate = ({ isCounted }: SeenHandler, count = isCounted ? 0 : undefined): string =>
  count === undefined ? '–' : whole(count)
const failedText = (count: number | undefined): string => (count === undefined ? '' : `${whole(count)} failed`)

/** Of 24 hours. */
const times = (title: string, given: StatTimes | undefined): Html =>
  html`<div><dt>${own(title)}</dt><dd>${own(given?.p50Ms === undefined ? '–' : duration(given.p50Ms))}</dd><dd class="sub">${own(given?.p99Ms === undefined ? '' : `p99 ${duration(given.p99Ms)}`)}</dd></div>`

function causesOf(handler: string, causes: readonly DeadCause[], nowMs: number): Html {
  if (causes.length === 0) return NOTHING
  const url = `/console/dead?handler=${encodeURIComponent(handler)}`
  return html`<section aria-labelledby="dead"><div class="head tight"><h2 id="dead">Dead letters by cause</h2><a href="${own(url)}">All, and replay</a></div>${table(
    {
      caption: 'Causes of its dead letters, most deaths first',
      rows: causes.slice(0, CAUSES_SHOWN),
      columns: [
        {
          title: 'Cause',
          kind: 'cut',
          onPhone: 'wide',
          cell: ({ id, source, signature }) =>
            html`<a class="row mono" href="${own(`${url}${groupOf(id, handler, source)}`)}">${signatureShown(signature)}</a>`,
        },
        {
          title: 'At',
          kind: 'short',
          onPhone: 'wide',
          cell: ({ at }) => html`<span class="mono muted">${show(at ?? '', 80)}</span>`,
        },
        {
          title: 'Last',
          kind: 'short',
          cell: ({ lastAtMs }) => html`<span class="label">last </span>${time(lastAtMs, nowMs)}`,
        },
        {
          title: 'Dead',
          kind: 'number',
          onPhone: 'end',
          cell: ({ count, isCapped }) => own(capped({ count, more: isCapped })),
        },
      ],
    },
  )}</section>`
}

interface Failure {
  readonly event: Pick<EventSummary, 'uid' | 'type'>
  readonly error: string
  readonly attempts: number
  readonly atMs: number
}

/** Deliveries that are dead, or wait for another attempt after one that failed. Dead ones by cause: their index has few others. */
async function failuresOf(name: string, { store, deadCauses }: ConsolePorts): Promise<readonly Failure[]> {
  const { causes } = await deadCauses({ handler: name })
  const latest = causes.toSorted((one, other) => other.lastAtMs - one.lastAtMs).slice(0, CAUSES_LOOKED_AT)
  const filters = [...latest.map(({ id }) => ({ state: 'dead', cause: id }) as const), { state: 'pending' } as const]
  const lists = await Promise.all(
    filters.map((filter) => store.deliveries({ handler: name, ...filter }, { limit: FAILURES_SHOWN })),
  )
  return lists
    .flatMap(({ items }) => items)
    .flatMap(({ eventUid: uid, type, lastError, attempts, dueAtMs: atMs }): readonly Failure[] =>
      lastError === undefined ? [] : [{ event: { uid, type }, error: lastError, attempts, atMs }],
    )
    .toSorted((one, other) => other.atMs - one.atMs)
    .slice(0, FAILURES_SHOWN)
}

function failuresList(failures: readonly Failure[] | undefined, { nowMs }: Visit): Html {
  if (failures?.length === 0) return NOTHING
  return html`<section aria-labelledby="failures"><h2 id="failures">Recent failures</h2>${
    failures === undefined
      ? html`<div class="card pad"><p>The store did not tell in time. Load the page again.</p></div>`
      : table({
          caption: 'Deliveries that failed last: dead, or to be tried again',
          rows: failures,
          columns: [
            {
              title: 'Event',
              kind: 'name',
              cell: ({ event: { uid, type } }) =>
                html`<a class="row" href="/console/events/${own(uid)}">${show(type, 60)}</a>`,
            },
            {
              title: 'Next or died, UTC',
              kind: 'short',
              onPhone: 'end',
              cell: ({ atMs }) => (atMs > nowMs ? html`next ${time(atMs, nowMs)}` : time(atMs, nowMs)),
            },
            {
              title: 'Error',
              kind: 'half',
              onPhone: 'wide',
              cell: ({ error }) => html`<span class="mono muted">${show(error, 160)}</span>`,
            },
            {
              title: 'Attempts',
              kind: 'number',
              cell: ({ attempts }) => html`<span class="label">attempts </span>${own(whole(attempts))}`,
            },
          ],
        })
  }</section>`
}

/** The policy as it is in force: the handler's own, and for the rest the service's settings. */
function policyOf(handler: HandlerDefinition, service: AttemptPolicy, { workersWith }: ConsolePorts): Html {
  const { name, types, source, rate: limit, orderBy, concurrency } = handler
  const { timeoutMs, retry } = attemptPolicyOf(handler, service)
  const from = (isOwn: boolean): Html => html` <span class="muted">${own(isOwn ? 'its own' : 'the default')}</span>`
  const fact = (title: string, value: Html): Html => html`<dt>${own(title)}</dt><dd>${value}</dd>`
  const workers = workersWith(name)
  return html`<section class="card pad stack" aria-labelledby="policy"><h2 id="policy">What is in force</h2><dl class="kv">
${fact('Types', html`${types.map((type, at) => html`${own(at === 0 ? '' : ', ')}<code>${show(type, 80)}</code>`)}`)}
${fact('Sources', source === undefined ? own('all') : html`only <a href="${own(pathOf('source', source))}">${show(source, 60)}</a>`)}
${fact('Deadline', html`${own(duration(timeoutMs))} for each attempt${from(handler.timeoutMs !== undefined)}`)}
${fact('Retry', html`${own(whole(retry.maxAttempts))} attempts, waits from ${own(duration(retry.baseMs))} to ${own(duration(retry.capMs))}${from(handler.retry !== undefined)}`)}
${fact('At once', concurrency === undefined ? own('as many as there is capacity for') : own(whole(concurrency)))}
${fact('Rate', own(limit === undefined ? 'not limited' : `${whole(limit.limit)} in ${duration(limit.perMs)}, over all replicas`))}
${fact('Order', orderBy === undefined ? own('none') : html`one after another by <code>${show(orderBy, 120)}</code>`)}
${fact('Runs in', workers === undefined ? own('this process') : html`${own(`${workers.having.length} of ${workers.workers} workers`)}${workers.having.map((uid) => html` <span class="mono muted">…${own(uid.slice(-6))}</span>`)}`)}
</dl></section>`
}
