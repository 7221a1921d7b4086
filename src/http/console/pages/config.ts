import type { Configuration } from '../../../domain/configuration.ts'
import { HoldfastError } from '../../../domain/errors.ts'
import { changedSettings, type ReloadChanges } from '../../../domain/reload.ts'
import { noteChange } from '../../ops/audit.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField, type Page } from '../html/layout.ts'
import { mark, state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { ago, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { type Process, processPart, readProcess } from './config-process.ts'
import { settingsPart } from './config-settings.ts'

const PATH = '/console/config'
/** Faults and warnings that a page shows. */
const MAX_SHOWN = 50

/** What is in force in this process, and what an operator may do about the process itself. */
export function registerConfiguration(routes: ConsoleRoutes, options: ConsolePorts): void {
  const { reload, pauses, retention } = options
  const show = async (visit: Visit): Promise<Page> => ({
    section: 'config',
    title: 'Configuration',
    content: pageOf(options.configuration(), await readProcess(options), visit),
  })
  routes.page('/config', show)

  routes.form('/config/reload', 'configuration.reload', async (sent) => {
    const result = await reload()
    if (result.ok) {
      noteChange(sent.request, changedSettings(result.changes))
      return `${PATH}#reload`
    }
    const code = result.isStopping || result.isAway ? 'unavailable' : 'configuration_refused'
    return { code, page: await show(sent) }
  })
  routes.form('/config/drain', 'process.drain', async ({ request, field }) => {
    const on = field('on') === 'true'
    pauses.drain(on)
    noteChange(request, { target: on ? 'on' : 'off' })
    return `${PATH}#process`
  })
  routes.form('/config/retention', 'retention.resume', async ({ request, field }) => {
    const clockMs = Date.parse(field('clock') ?? '')
    if (Number.isNaN(clockMs)) throw new HoldfastError('invalid_request', 'clock is not a time')
    const { clockMs: confirmedMs } = await retention.resume(clockMs)
    noteChange(request, { target: `clock ${new Date(confirmedMs).toISOString()}` })
    return `${PATH}#process`
  })
}

const pageOf = (configuration: Configuration, process: Process, visit: Visit): Html => html`
<div class="head"><div><h1>Configuration</h1><p>What is in force in this process, and where it came from. Secrets are never shown.</p></div>${when(
  visit.mayChange,
  () =>
    html`<form method="post" action="${own(PATH)}/reload">${csrfField(visit.frame)}<button class="btn go" type="submit">Reload</button></form>`,
)}</div>
${reloadPart(configuration, visit)}
${processPart(process, visit)}
${settingsPart(configuration, visit)}`

/** The last reload, and what it left for a restart. */
function reloadPart({ lastReload, needRestart, warnings }: Configuration, { nowMs }: Visit): Html {
  const { succeededAtMs, changes, refused, awayAtMs } = lastReload
  return html`<section class="card pad stack" id="reload" aria-label="Last reload">
<p>${refused === undefined ? state('succeeded', own('in force')) : state('warning', own('the last reload was refused'))} Settings and the code of all modules were read ${own(changes === undefined ? 'at the start' : 'again')}, at ${time(succeededAtMs, nowMs)} UTC, ${ago(succeededAtMs, nowMs)}.${changes === undefined ? NOTHING : html` ${changed(changes)}`}</p>
${awayAtMs === undefined ? NOTHING : html`<p>${mark('warning')} <b>Not reloaded</b> at ${time(awayAtMs, nowMs)} UTC: the database was away. Reload again when it is back.</p>`}
${
  refused === undefined
    ? NOTHING
    : html`<div role="alert"><p class="small muted">Refused since ${time(refused.sinceMs, nowMs)} UTC. Mend each of these, and reload:</p>${listOf(refused.faults, 'dead')}</div>`
}
${
  needRestart.length === 0
    ? NOTHING
    : html`<p>${mark('pending', 'warn')} <b>Waits for a restart:</b> ${codes(needRestart)}</p>`
}
${warnings.length === 0 ? NOTHING : html`<details id="warnings"><summary>Warnings: ${warnings.length}</summary>${listOf(warnings, 'warning')}</details>`}
</section>`
}

/** Whether the code of a module has changed is not known: all are loaded again. */
function changed({ settings, handlers: { added, removed } }: ReloadChanges): Html {
  const named = (title: string, names: readonly string[]): Html =>
    names.length === 0 ? NOTHING : html` ${own(title)}: ${codes(names)}.`
  return html`Settings that changed: ${settings.length === 0 ? own('none') : codes(settings)}.${named('New handlers', added)}${named('Handlers that are gone', removed)}`
}

const codes = (names: readonly string[]): Html =>
  html`${names.slice(0, MAX_SHOWN).map((name, at) => html`${own(at === 0 ? '' : ', ')}<code>${show(name, 80)}</code>`)}${own(names.length > MAX_SHOWN ? `, and ${names.length - MAX_SHOWN} more` : '')}`

const listOf = (texts: readonly string[], name: 'dead' | 'warning'): Html =>
  html`<ul class="steps small">${texts.slice(0, MAX_SHOWN).map((text) => html`<li>${mark(name)}<span>${show(text, 600)}</span></li>`)}</ul>`
