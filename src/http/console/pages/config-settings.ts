import type { Configuration, SettingInForce } from '../../../domain/configuration.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { mark } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { table } from '../html/table.ts'
import { ago, bytes, counted, duration } from '../html/words.ts'
import type { Visit } from '../routes.ts'

/** Sources whose settings are folded in the page, and sources that it leads to, whose settings it has when they are asked for. */
const MAX_FOLDED = 5
const MAX_SOURCES = 200

/** All settings by group, or only those that are set; those of each source folded. */
export function settingsPart({ settings, needRestart }: Configuration, visit: Visit): Html {
  const isOnlySet = visit.query.get('only') === 'set'
  const shown = isOnlySet ? settings.filter(({ from }) => from !== 'default') : settings
  const groups = Map.groupBy(
    shown.filter(({ source }) => source === undefined),
    ({ group }) => group,
  )
  const sources = Map.groupBy(
    settings.filter(({ source }) => source !== undefined),
    ({ source = '' }) => source,
  )
  const dotEnv = settings.find(({ from }) => from === '.env')?.file
  const tab = (title: string, path: string, isCurrent: boolean): Html =>
    html`<a href="${own(path)}"${when(isCurrent, () => CURRENT)}>${own(title)}</a>`
  return html`<div class="head" id="settings"><div><h2>Settings</h2>${dotEnv === undefined ? NOTHING : html`<p class="muted"><code>.env</code> is <code>${show(dotEnv, 300)}</code></p>`}</div><nav class="seg" aria-label="Which settings">${tab('all', '/console/config#settings', !isOnlySet)}${tab('only what is set', '/console/config?only=set#settings', isOnlySet)}</nav></div>
${shown.length === 0 ? html`<div class="card pad"><p>Nothing is set: every setting has its default.</p></div>` : NOTHING}
${[...groups].map(
  ([group, these]) =>
    html`<section aria-labelledby="${own(idOf(group))}"><h3 id="${own(idOf(group))}">${own(group)}</h3>${tableOf(group, these, needRestart, visit)}${group === 'Sources' ? sourcesOf(sources, isOnlySet, needRestart, visit) : NOTHING}</section>`,
)}
${groups.has('Sources') ? NOTHING : sourcesOf(sources, isOnlySet, needRestart, visit)}`
}

const CURRENT = html` aria-current="true"`

const idOf = (group: string): string => `group-${group.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`

function sourcesOf(
  sources: ReadonlyMap<string, readonly SettingInForce[]>,
  isOnlySet: boolean,
  needRestart: readonly string[],
  visit: Visit,
): Html {
  const asked = visit.query.get('source') ?? ''
  const names = [...sources.keys()].slice(0, MAX_SOURCES)
  if (sources.has(asked) && !names.includes(asked)) names.push(asked)
  const listed = names.map((source) => {
    const settings = sources.get(source) ?? []
    const set = settings.filter(({ from }) => from !== 'default')
    const id = `settings-of-${source}`
    const title = html`Source <b>${show(source, 64)}</b>: ${own(counted(set.length, 'setting'))} set`
    if (source !== asked && sources.size > MAX_FOLDED)
      return html`<p class="fold" id="${own(id)}"><a href="${own(urlOf(source, isOnlySet))}">${title}</a></p>`
    return html`<details class="fold" id="${own(id)}"${when(source === asked, () => OPEN)}><summary>${title}</summary>${tableOf(`Source ${source}`, isOnlySet ? set : settings, needRestart, visit)}</details>`
  })
  const more = sources.size - listed.length
  return html`${listed}${more > 0 ? html`<p class="small muted">${own(counted(more, 'source'))} more.</p>` : NOTHING}`
}

const OPEN = html` open`

/** The page with the settings of a source. */
const urlOf = (source: string, isOnlySet: boolean): string => {
  const name = encodeURIComponent(source)
  return `/console/config?${isOnlySet ? 'only=set&' : ''}source=${name}#settings-of-${name}`
}

const tableOf = (
  caption: string,
  rows: readonly SettingInForce[],
  needRestart: readonly string[],
  { nowMs }: Visit,
): Html =>
  table({
    caption: `Settings: ${caption}`,
    rows,
    idOf: ({ name }) => `set-${name}`,
    columns: [
      {
        title: 'Setting',
        onPhone: 'wide',
        kind: 'half',
        cell: ({ name, meaning, isFixed }) =>
          html`<code>${own(name)}</code><p class="small muted">${own(meaning)}${own(isFixed ? '. Only a restart changes it' : '')}</p>`,
      },
      {
        title: 'Value',
        cell: (setting) =>
          html`${valueOf(setting, nowMs)}${when(needRestart.includes(setting.name), () => html`<p class="small warn">${mark('pending', 'warn')} another value waits for a restart</p>`)}`,
      },
      { title: 'From', kind: 'quarter', onPhone: 'end', cell: originOf },
    ],
  })

function valueOf({ value, secret, name }: SettingInForce, nowMs: number): Html {
  if (secret !== undefined) {
    if (secret.count === 0) return html`<span class="muted">not set</span>`
    const many = secret.count === 1 ? 'set' : `set, ${secret.count} of them`
    return html`${own(many)}${secret.changedAtMs === undefined ? NOTHING : html`, written ${ago(secret.changedAtMs, nowMs)}`}`
  }
  if (value === undefined) return html`<span class="muted">none</span>`
  const meant = meantBy(name, value)
  return html`<span class="mono">${show(value, 300)}</span>${when(meant !== '', () => html` <span class="muted">${own(meant)}</span>`)}`
}

/** A number in words, by the unit in the name of the setting. */
function meantBy(name: string, value: string): string {
  const number = Number(value)
  if (!/^\d{4,}$/.test(value)) return ''
  if (name.endsWith('_MS')) return duration(number)
  return name.endsWith('_BYTES') ? bytes(number) : ''
}

function originOf({ from, file }: SettingInForce): Html {
  if (from === 'default') return html`<span class="muted">default</span>`
  if (from === '.env') return html`<code>.env</code>`
  if (file === undefined) return html`environment`
  return html`file <code>${show(file, 200)}</code>`
}
