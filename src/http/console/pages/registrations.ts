import { HoldfastError } from '../../../domain/errors.ts'
import { MAX_NAME_LENGTH } from '../../../domain/limits.ts'
import type { SourceSetup } from '../../../domain/source.ts'
import { EXPIRED_TYPE } from '../../../domain/task.ts'
import type { SourceRegistration } from '../../../domain/webhook-manager.ts'
import { inWords, noteChange } from '../../ops/audit.ts'
import type { SourceView } from '../../schemas/configuration.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { state } from '../html/marks.ts'
import { plain, show } from '../html/show.ts'
import { pager, table } from '../html/table.ts'
import { counted } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Sent, Visit } from '../routes.ts'
import { pathOf } from './pausing.ts'
import { sourceIn } from './source-state.ts'

const MAX_SHOWN = 30
const EVENTS_SHOWN = 8
/** Types of one registration, and the characters of all of them. */
const MAX_EVENTS = 200
const MAX_EVENTS_TEXT = 8_000

const pageOf = (source: string): string => `${pathOf('source', source)}/registrations`

/** What is registered at the provider, which is asked only when a person asks; and how that is changed, by the same rules as the API. */
export function registerRegistrationPage(routes: ConsoleRoutes, options: ConsolePorts): void {
  const { webhooks, sourceSetup } = options
  routes.providerPage('/sources/:name/registrations', async (visit) => {
    const source = sourceIn(options, visit)
    const { items } = await webhooks.list(source.name)
    return {
      section: 'sources',
      title: `Registrations of ${source.name}`,
      content: html`<div><p class="crumb"><a href="/console/sources">Sources</a> / <a href="${own(pathOf('source', source.name))}">${show(source.name, 60)}</a></p><div class="head"><div><h1>Registered at ${show(source.provider.name, 60)}</h1><p>The provider's API has just answered this.</p></div></div></div>
${registeredNote(items, visit)}${listOf(items, visit)}
${when(!items.some(({ ours }) => ours), () => ensureForm(source, options, visit))}`,
    }
  })

  const path = '/sources/:name/registrations'
  routes.form(path, 'registration.create', async (sent) => {
    const { name } = sourceIn(options, sent)
    noteChange(sent.request, { target: name })
    // The provider's secret is shown once, and an answer that leads on to another page could not show it.
    if (sourceSetup(name).makesSecret)
      throw new HoldfastError('conflict', `run holdfast registrations ensure ${name}, which shows the new secret`)
    const events = eventsIn(sent)
    const { action, registration } = await webhooks.ensure(name, events === undefined ? {} : { events })
    const target = [`${name}/${registration.id}`, inWords({ events })].filter((each) => each !== '').join(' ')
    noteChange(sent.request, { target, count: action === 'unchanged' ? 0 : 1 })
    return `${pageOf(name)}?registered=${encodeURIComponent(registration.id)}`
  })
  const ofOne = (sent: Sent) => {
    const { name } = sourceIn(options, sent)
    const id = sent.field('id') ?? ''
    if (id === '') throw new HoldfastError('invalid_request', 'the field id is missing')
    noteChange(sent.request, { target: `${name}/${id}` })
    return { name, id }
  }
  routes.form(`${path}/active`, 'registration.update', async (sent) => {
    const { name, id } = ofOne(sent)
    const active = sent.field('active') === 'on'
    noteChange(sent.request, { target: `${name}/${id} ${inWords({ active })}` })
    await webhooks.update(name, id, { active })
    return pageOf(name)
  })
  routes.form(`${path}/delete`, 'registration.delete', async (sent) => {
    const { name, id } = ofOne(sent)
    await webhooks.remove(name, id)
    return pageOf(name)
  })
}

/** The way there from the source's page, or what is missing for it. */
export function registrationLink(
  { name, provider }: SourceView,
  setup: SourceSetup,
  { mayChange }: Visit,
  kind = '',
): Html {
  if (setup.registrations === 'no_api') return NOTHING
  if (setup.registrations === 'not_configured')
    return html`<p class="small muted">With <code>${own(setup.variable)}_API_KEY</code> (and <code>_API_URL</code>, if the provider has no fixed one) Holdfast can register it by itself.</p>`
  if (!mayChange) return NOTHING
  return html`<p><a class="btn${own(kind === '' ? '' : ` ${kind}`)}" rel="nofollow" href="${own(pageOf(name))}">Show what is registered at ${show(provider.name, 40)}</a></p>`
}

/** Undefined: the field is not in the form, and the types that the source accepts count. */
function eventsIn(sent: Sent): readonly string[] | undefined {
  const text = sent.field('events')
  if (text === undefined) return undefined
  const events = text.split(/[\s,]+/).filter((each) => each !== '')
  if (events.length > MAX_EVENTS || events.some((each) => each.length > MAX_NAME_LENGTH))
    throw new HoldfastError('invalid_request', `name at most ${MAX_EVENTS} types`)
  return events
}

function registeredNote(items: readonly SourceRegistration[], { query }: Visit): Html {
  const id = query.get('registered')
  const made = items.find((each) => each.id === id && each.ours)
  return made === undefined ? NOTHING : html`<p class="note" role="status">Registered as ${show(made.id, 80)}.</p>\n`
}

function listOf(items: readonly SourceRegistration[], visit: Visit): Html {
  if (items.length === 0) return html`<div class="card pad"><p>Nothing is registered there.</p></div>`
  const shown = items.toSorted((one, other) => Number(other.ours) - Number(one.ours)).slice(0, MAX_SHOWN)
  return table({
    caption: 'Webhooks registered at the provider, those of this source first',
    rows: shown,
    columns: [
      {
        title: 'State',
        kind: 'short',
        cell: ({ active }) => (active ? state('succeeded', own('on')) : state('paused', own('off'))),
      },
      {
        title: 'URL',
        onPhone: 'wide',
        cell: ({ url, ours, id }) =>
          html`<code>${show(url, 200)}</code>${when(ours, () => html` <b>this source</b>`)} <span class="muted small">${show(id, 80)}</span>`,
      },
      {
        title: 'Events',
        onPhone: 'wide',
        cell: ({ events }) =>
          html`${show(events.slice(0, EVENTS_SHOWN).join(', '), 300)}${own(events.length > EVENTS_SHOWN ? `, and ${events.length - EVENTS_SHOWN} more` : '')}`,
      },
      {
        title: 'Actions',
        isTitleHidden: true,
        kind: 'third',
        onPhone: 'wide',
        cell: (registration) => actionsOf(registration, visit),
      },
    ],
    foot: pager(
      own(items.length > MAX_SHOWN ? `${MAX_SHOWN} of ${items.length}` : counted(items.length, 'registration')),
      undefined,
    ),
  })
}

function actionsOf({ source, id, active }: SourceRegistration, { frame, mayChange }: Visit): Html {
  if (!mayChange) return NOTHING
  const form = (to: string, words: string, field: Html): Html =>
    html`<form method="post" action="${own(pageOf(source))}/${own(to)}">${csrfField(frame)}<input type="hidden" name="id" value="${own(id)}">${field}<button class="btn" type="submit">${own(words)}<span class="hide"> ${show(id, 80)}</span></button></form>`
  return html`<div class="bar">${form('active', active ? 'Switch off' : 'Switch on', html`<input type="hidden" name="active" value="${own(active ? 'off' : 'on')}">`)}${when(!active, () => form('delete', 'Delete', NOTHING))}</div>`
}

function ensureForm(source: SourceView, ports: ConsolePorts, { frame, mayChange }: Visit): Html {
  if (!mayChange) return NOTHING
  const { name, url } = source
  if (url === undefined)
    return html`<div class="card pad"><p>Set <code>PUBLIC_URL</code>: without it Holdfast does not know which URL to register.</p></div>`
  const setup = ports.sourceSetup(name)
  if (setup.makesSecret)
    return html`<div class="card pad stack"><p>The provider makes the secret of a registration and shows it once. Register on the command line, which prints it:</p><pre class="trace" tabindex="0" role="region" aria-label="Command">holdfast registrations ensure ${show(name, 80)}</pre></div>`
  const events = wantedEvents(source, setup, ports)
  return html`<form class="card pad stack" method="post" action="${own(pageOf(name))}">${csrfField(frame)}<p>Registers <code>${show(url, 300)}</code> with the newest of the source's secrets, for events of these types, separated by commas; <code>*</code> stands for any characters.</p>
<div class="bar"><label class="field whole grow">Types <input name="events" required value="${plain(events.join(', '), MAX_EVENTS_TEXT)}" autocomplete="off" spellcheck="false"></label><button class="btn go" type="submit">Register it</button></div></form>`
}

/** What to register: the types that the source accepts, or if it accepts every type, those that its handlers take. */
function wantedEvents({ name, types }: SourceView, setup: SourceSetup, { handlers }: ConsolePorts): readonly string[] {
  if (!types.includes('*')) return types.filter((type) => type !== EXPIRED_TYPE)
  // A handler of any source may take types that only other providers know.
  const known = new Set(setup.types)
  const wanted = handlers().flatMap((handler) =>
    handler.source === name
      ? handler.types
      : handler.source === undefined
        ? handler.types.filter((type) => type === '*' || known.has(type))
        : [],
  )
  const events = [...new Set(wanted)].filter((type) => type !== EXPIRED_TYPE)
  return events.length === 0 || events.includes('*') ? ['*'] : events
}
