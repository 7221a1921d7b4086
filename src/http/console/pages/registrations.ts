import { HoldfastError } from '../../../domain/errors.ts'
import type { SourceSetup } from '../../../domain/source.ts'
import type { SourceRegistration } from '../../../domain/webhook-manager.ts'
import { inWords, noteChange } from '../../ops/audit.ts'
import type { SourceView } from '../../schemas/configuration.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField } from '../html/layout.ts'
import { state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { pager, table } from '../html/table.ts'
import { counted } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Sent, Visit } from '../routes.ts'
import { pathOf } from './pausing.ts'
import { sourceIn } from './source-state.ts'

const MAX_SHOWN = 30
const EVENTS_SHOWN = 8

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
${listOf(items, visit)}
${when(!items.some(({ ours }) => ours), () => ensureForm(source, sourceSetup(source.name), visit))}`,
    }
  })

  const path = '/sources/:name/registrations'
  routes.form(path, 'registration.create', async (sent) => {
    const { name } = sourceIn(options, sent)
    noteChange(sent.request, { target: name })
    // The provider's secret is shown once, and an answer that leads on to another page could not show it.
    if (sourceSetup(name).makesSecret)
      throw new HoldfastError('conflict', `run holdfast registrations ensure ${name}, which shows the new secret`)
    const { action, registration } = await webhooks.ensure(name, {})
    noteChange(sent.request, { target: `${name}/${registration.id}`, count: action === 'unchanged' ? 0 : 1 })
    return pageOf(name)
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
export function registrationLink({ name, provider }: SourceView, setup: SourceSetup, { mayChange }: Visit): Html {
  if (setup.registrations === 'no_api') return NOTHING
  if (setup.registrations === 'not_configured')
    return html`<p class="small muted">With <code>${own(setup.variable)}_API_KEY</code> (and <code>_API_URL</code>, if the provider has no fixed one) Holdfast can register it by itself.</p>`
  if (!mayChange) return NOTHING
  return html`<p><a class="btn" rel="nofollow" href="${own(pageOf(name))}">Show what is registered at ${show(provider.name, 40)}</a></p>`
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

function ensureForm({ name, url }: SourceView, setup: SourceSetup, { frame, mayChange }: Visit): Html {
  if (!mayChange) return NOTHING
  if (url === undefined)
    return html`<div class="card pad"><p>Set <code>PUBLIC_URL</code>: without it Holdfast does not know which URL to register.</p></div>`
  if (setup.makesSecret)
    return html`<div class="card pad stack"><p>The provider makes the secret of a registration and shows it once. Register on the command line, which prints it:</p><pre class="trace" tabindex="0" role="region" aria-label="Command">holdfast registrations ensure ${show(name, 80)}</pre></div>`
  return html`<form class="card pad bar spread" method="post" action="${own(pageOf(name))}">${csrfField(frame)}<p>Registers <code>${show(url, 300)}</code> with the types that this source accepts, and the newest of its secrets.</p><button class="btn go" type="submit">Register it</button></form>`
}
