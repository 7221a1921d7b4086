import { HoldfastError } from '../../../domain/errors.ts'
import type { HandlerDefinition } from '../../../domain/handler.ts'
import { attemptPolicyOf } from '../../../domain/handler-policy.ts'
import type { ServiceStatus } from '../../../domain/status.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { table } from '../html/table.ts'
import { duration, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { pausing, registerPausing } from './pausing.ts'

export function registerHandlerPages(routes: ConsoleRoutes, options: ConsolePorts): void {
  const { handlers, pauses, deadCauses, status, attempts } = options

  async function deadOf(): Promise<ReadonlyMap<string, number>> {
    const counts = new Map<string, number>()
    for (const { handler, count } of (await deadCauses({})).causes)
      counts.set(handler, (counts.get(handler) ?? 0) + count)
    return counts
  }

  routes.page('/handlers', async (visit) => {
    const [dead, now] = await Promise.all([deadOf(), status()])
    const stateOf = (name: string): Html =>
      stateIn(name, dead.get(name) ?? 0, pauses.find('handler', name) !== undefined, now)
    return { section: 'handlers', title: 'Handlers', content: listOf(handlers(), stateOf, dead, visit) }
  })

  routes.page('/handlers/:name', async (visit) => {
    const { name = '' } = visit.params
    const handler = handlers().find((each) => each.name === name)
    if (handler === undefined) throw new HoldfastError('handler_not_found', `there is no handler ${name}`)
    const [dead, now] = await Promise.all([deadOf(), status()])
    const pause = pauses.find('handler', name)
    const { timeoutMs, retry } = attemptPolicyOf(handler, attempts())
    const fact = (title: string, value: Html): Html => html`<dt>${own(title)}</dt><dd>${value}</dd>`
    const { rate, orderBy, concurrency, source, types } = handler
    return {
      section: 'handlers',
      title: name,
      content: html`<div><p class="crumb"><a href="/console/handlers">Handlers</a></p><div class="head"><div class="bar"><h1>${show(name, 80)}</h1>${stateIn(name, dead.get(name) ?? 0, pause !== undefined, now)}</div><a class="btn" href="/console/dead?handler=${own(encodeURIComponent(name))}">Its dead letters</a></div></div>
${pausing('handler', name, pause, visit)}
<dl class="card pad kv">
${fact('Types', html`${types.map((type, at) => html`${own(at === 0 ? '' : ', ')}<code>${show(type, 80)}</code>`)}`)}
${source === undefined ? NOTHING : fact('Only of', html`<a href="/console/sources/${own(encodeURIComponent(source))}">${show(source, 60)}</a>`)}
${fact('Dead letters', own(whole(dead.get(name) ?? 0)))}
${fact('Deadline of an attempt', own(duration(timeoutMs)))}
${fact('Attempts', html`${own(whole(retry.maxAttempts))}, with waits from ${own(duration(retry.baseMs))} to ${own(duration(retry.capMs))}`)}
${fact('At once', own(concurrency === undefined ? 'as many as there is capacity for' : whole(concurrency)))}
${fact('Rate', own(rate === undefined ? 'not limited' : `${whole(rate.limit)} in ${duration(rate.perMs)}`))}
${fact('Order', orderBy === undefined ? html`none` : html`one after another by <code>${show(orderBy, 120)}</code>`)}
</dl>`,
    }
  })

  registerPausing(routes, 'handler', () => handlers().map(({ name }) => name), options)
}

function stateIn(name: string, dead: number, isPaused: boolean, { problems }: ServiceStatus): Html {
  if (isPaused) return state('paused', own('paused'))
  if (dead > 0) return state('dead', own(`dead ${whole(dead)}`))
  const problem = problems.find(({ handler, severity }) => handler === name && severity !== 'notice')
  return problem === undefined
    ? state('succeeded', own('steady'))
    : state('warning', own(problem.problem.replaceAll('_', ' ')))
}

const listOf = (
  handlers: readonly HandlerDefinition[],
  stateOf: (name: string) => Html,
  dead: ReadonlyMap<string, number>,
  _: Visit,
): Html =>
  html`<div class="head"><h1>Handlers</h1></div>${
    handlers.length === 0
      ? html`<div class="card pad"><p>No handler is registered: events are stored, and nothing runs.</p></div>`
      : table({
          caption: 'Handlers',
          rows: handlers,
          columns: [
            {
              title: 'Handler',
              kind: 'name',
              cell: ({ name }) =>
                html`<a class="row" href="/console/handlers/${own(encodeURIComponent(name))}">${show(name, 80)}</a>`,
            },
            { title: 'State', onPhone: 'end', cell: ({ name }) => stateOf(name) },
            {
              title: 'Types',
              kind: 'cut',
              onPhone: 'wide',
              cell: ({ types }) => html`<span class="muted">${show(types.join(', '), 160)}</span>`,
            },
            { title: 'Dead', kind: 'number', onPhone: 'gone', cell: ({ name }) => own(whole(dead.get(name) ?? 0)) },
          ],
        })
  }`
