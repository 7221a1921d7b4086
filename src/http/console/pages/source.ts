import type { DriftEntry } from '../../../domain/drift-store.ts'
import type { IndexedPath } from '../../../domain/payload-index.ts'
import type { SecretUse, SourceSetup } from '../../../domain/source.ts'
import type { RequestOutcome } from '../../../domain/telemetry.ts'
import type { SourceView } from '../../schemas/configuration.ts'
import { live } from '../html/again.ts'
import { type Html, html, NOTHING, own, when } from '../html/html.ts'
import { LIVE, livePart, livePartAgain } from '../html/live-part.ts'
import { mark } from '../html/marks.ts'
import { plain, show } from '../html/show.ts'
import { table } from '../html/table.ts'
import { ago, counted, duration, time, whole } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { inTime } from '../recent.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { stateOf } from './finding.ts'
import { pausing, resuming } from './pausing.ts'
import { lastRefusals, refusalsOf, refusedIn } from './refusals.ts'
import { registrationLink } from './registrations.ts'
import { sampleForm } from './send-sample.ts'
import { findingsOf, lastWebhookOf, RELOAD, type SeenSource, seeSource, sourceIn } from './source-state.ts'

const DRIFT_SHOWN = 20
const TYPES_SHOWN = 30

export function registerSourcePage(routes: ConsoleRoutes, options: ConsolePorts): void {
  const { store, sourceSetup } = options
  const arrival = async (visit: Visit) => {
    const source = sourceIn(options, visit)
    const { name } = source
    const seen = await seeSource(source, options)
    const content = arrivalOf(seen, await lastRefusals(seen, options), visit)
    return {
      seen,
      id: 'arrival',
      path: `/console/part/sources/${encodeURIComponent(name)}`,
      nowMs: visit.nowMs,
      content,
    }
  }
  routes.part('/sources/:name', async (visit) => livePartAgain(await arrival(visit)))

  const secrets = (visit: Visit) => {
    const { name } = sourceIn(options, visit)
    const content = secretsOf(options.secretUses(name), sourceSetup(name), visit.nowMs)
    return {
      id: 'uses',
      path: `/console/part/sources/${encodeURIComponent(name)}/secrets`,
      nowMs: visit.nowMs,
      content,
    }
  }
  routes.part('/sources/:name/secrets', async (visit) => livePartAgain(secrets(visit)))

  routes.page('/sources/:name', async (visit) => {
    const source = sourceIn(options, visit)
    const { name } = source
    const setup = sourceSetup(name)
    const [part, drift, paths, sample] = await Promise.all([
      arrival(visit),
      inTime(store.driftEntries({ source: name }, { limit: DRIFT_SHOWN })),
      inTime(store.payloadIndex.indexedPaths()),
      sampleForm(source, setup, options, visit),
    ])
    const { pause } = part.seen
    return {
      section: 'sources',
      title: name,
      content: html`${livePart(part)}
<div class="two"><div class="stack">${connection(source, setup, visit)}
${livePart(secrets(visit))}</div>
<div class="stack">${sample}
${pausing('source', name, pause, visit)}</div></div>
${driftOf(drift?.items ?? [], visit.nowMs)}
${keysOf(source, paths ?? [])}`,
    }
  })
}

/** Whether it still arrives, and what came. */
function arrivalOf(seen: SeenSource, lastRefusedMs: ReadonlyMap<RequestOutcome, number>, visit: Visit): Html {
  const { nowMs } = visit
  const { day, pause, setup } = seen
  const { name } = seen.source
  const events = `/console/events?q=${encodeURIComponent(`source:${name}`)}`
  const [first, ...rest] = findingsOf(seen, nowMs)
  const lastMs = lastWebhookOf(seen)
  const fact = (title: string, value: Html, sub: Html = NOTHING): Html =>
    html`<div><dt>${own(title)}</dt><dd>${value}</dd><dd class="sub">${sub}</dd></div>`
  const number = (count = seen.isCounted ? 0 : undefined): Html => own(count === undefined ? '–' : whole(count))
  return html`<div><p class="crumb"><a href="/console/sources">Sources</a></p><div class="head"><h1>${show(name, 80)}</h1><div class="bar">${live(LIVE)}<a class="btn" href="${own(events)}">Its events</a>${resuming('source', name, pause, visit)}</div></div></div>
<div class="card pad stack"><p class="says">${stateOf(first)} ${first.says}</p>${when(rest.length > 0, () => html`<ul class="steps">${rest.map(({ mark: name, tone, word, says }) => html`<li>${mark(name, tone)}<span><b>${own(word)}</b>: ${says}</span></li>`)}</ul>`)}${first.mark === 'silent' ? registrationLink(seen.source, setup, visit, 'go') : NOTHING}</div>
<dl class="facts card">
${fact('Last webhook', lastMs === undefined ? own(seen.state === undefined ? '–' : 'none yet') : ago(lastMs, nowMs), lastMs === undefined ? NOTHING : html`${time(lastMs, nowMs)} UTC${own(seen.isTurnedAway ? ', stored or turned away' : '')}`)}
${gapOf(seen, fact)}
${fact('Stored, 24 h', number(day?.total.received), storedSub(seen))}
${fact('Refused, 24 h', number(day && refusedIn(day.total)), own(seen.isTurnedAway ? 'those of now are counted later' : day !== undefined && refusedIn(day.total) > 0 ? 'reasons below' : ''))}
${fact('Acknowledged in', own(day?.total.ack.p50Ms === undefined ? '–' : duration(day.total.ack.p50Ms)), own(day?.total.ack.p99Ms === undefined ? '' : `p99 ${duration(day.total.ack.p99Ms)}`))}
${apiOf(seen, fact)}
</dl>
${refusalsOf(seen, lastRefusedMs, nowMs)}`
}

type Fact = (title: string, value: Html, sub: Html) => Html

/** How often webhooks usually come, or should by the settings. */
function gapOf({ health: { usualGapMs }, setup: { expectEvery, variable } }: SeenSource, fact: Fact): Html {
  const setting = html`<code>${own(variable)}_EXPECT_EVERY</code>`
  if (typeof expectEvery === 'number') return fact('Expected every', own(duration(expectEvery)), setting)
  const usual = usualGapMs === undefined ? 'not known yet' : 'half are shorter'
  return fact(
    'Usual gap',
    own(usualGapMs === undefined ? '–' : duration(usualGapMs)),
    expectEvery === 'off' ? html`silence is no problem: ${setting}` : own(usual),
  )
}

/** The provider's own API, if it is called: for tasks. */
function apiOf({ state: now, day, isCounted }: SeenSource, fact: Fact): Html {
  if (now === undefined || now.breaker === null) return NOTHING
  const recovered = day?.total.recovered ?? (isCounted ? 0 : undefined)
  const calls =
    now.breaker === 'closed' ? 'breaker closed: calls go through' : `breaker ${now.breaker.replaceAll('_', ' ')}`
  return fact('Ended by poll, 24 h', own(recovered === undefined ? '–' : whole(recovered)), own(calls))
}

function storedSub({ day, source }: SeenSource): Html {
  if (day === undefined) return NOTHING
  const { duplicates, quarantined } = day.total
  const quarantinedUrl = `/console/events?q=${encodeURIComponent(`source:${source.name} status:quarantined`)}`
  return html`${own(counted(duplicates, 'duplicate'))}${when(quarantined > 0, () => html`, <a href="${own(quarantinedUrl)}">${own(`${whole(quarantined)} quarantined`)}</a>`)}`
}

function secretsOf(secrets: readonly SecretUse[], { variable }: SourceSetup, nowMs: number): Html {
  return html`<section aria-labelledby="secrets"><h2 id="secrets">Secrets</h2>${table({
    caption: 'Secrets of this source; the values are never shown',
    rows: secrets,
    columns: [
      { title: 'Place', cell: ({ place }) => html`<b>${own(place === 1 ? '1, the newest' : String(place))}</b>` },
      {
        title: 'Last verified',
        onPhone: 'end',
        cell: ({ lastVerifiedAtMs }) => (lastVerifiedAtMs === undefined ? own('never') : ago(lastVerifiedAtMs, nowMs)),
      },
      {
        title: 'Webhooks',
        kind: 'number',
        cell: ({ verified }) => html`<span class="label">verified </span>${own(whole(verified))}`,
      },
      {
        title: 'Since',
        kind: 'number',
        onPhone: 'wide',
        cell: ({ sinceMs }) => html`<span class="label">here since </span>${time(sinceMs, nowMs)}`,
      },
    ],
    foot: html`<div class="foot"><span>${rotation(secrets, variable)} Each process counts what it receives itself.</span></div>`,
  })}</section>`
}

function rotation([newest, ...older]: readonly SecretUse[], variable: string): Html {
  const setting = html`<code>${own(variable)}_SECRET</code>`
  if (older.length === 0)
    return html`To change it without a gap: put the new one first in ${setting}, the old one after a comma, and ${RELOAD}; then change it at the provider.`
  const lastNew = newest?.lastVerifiedAtMs
  const lastOld = Math.max(0, ...older.map(({ lastVerifiedAtMs = 0 }) => lastVerifiedAtMs))
  if (lastNew === undefined)
    return html`The newest has verified nothing here yet: change it at the provider, and keep the older one until then.`
  return lastOld > lastNew
    ? html`An older one verified last: the provider still signs by it, so keep it.`
    : html`The newest verifies. When the older one has verified nothing for some days on any process, take it out of ${setting} and ${RELOAD}.`
}

function connection(source: SourceView, setup: SourceSetup, visit: Visit): Html {
  const { name, url, types, provider } = source
  const shown = url ?? `/v1/webhooks/${name}`
  const steps = setup.steps.length === 0 ? UNKNOWN_STEPS : setup.steps
  return html`<section class="card pad stack" aria-labelledby="connect"><h2 id="connect">How it is connected</h2>
<p class="copy"><code>${show(shown, 300)}</code> <button class="btn" type="button" data-copy="${plain(shown, 512)}">Copy URL</button></p>
${when(url === undefined, () => html`<p class="warn small">Set <code>PUBLIC_URL</code> to the address at which providers reach this service: then the whole URL stands here, and Holdfast can register it.</p>`)}
<dl class="kv"><dt>Provider</dt><dd>${show(provider.name, 60)}</dd><dt>Accepts</dt><dd>${types.includes('*') ? own('every type') : html`${types.slice(0, TYPES_SHOWN).map((type, at) => html`${own(at === 0 ? '' : ', ')}<code>${show(type, 80)}</code>`)}${own(types.length > TYPES_SHOWN ? `, and ${types.length - TYPES_SHOWN} more` : '')}`}</dd></dl>
<h3>Register it</h3>
<ol class="numbered">${steps.map((step) => html`<li>${stepOf(step.replaceAll('SOURCE_<NAME>', setup.variable))}</li>`)}<li>Send an event from there, and see it arrive above.</li></ol>
${registrationLink(source, setup, visit)}</section>`
}

/** With a link where a step ends in a reload. */
function stepOf(step: string): Html {
  const [, before] = /^(.* and )reload\.$/s.exec(step) ?? []
  return before === undefined ? show(step, 400) : html`${show(before, 400)}${RELOAD}.`
}

const UNKNOWN_STEPS = [
  "In the sender's settings of webhooks, enter the URL above and choose JSON.",
  'Sender and SOURCE_<NAME>_SECRET must have the same secret: where the sender makes it, put it there and reload.',
]

function driftOf(drift: readonly DriftEntry[], nowMs: number): Html {
  if (drift.length === 0) return NOTHING
  return html`<section aria-labelledby="drift"><h2 id="drift">Fields that have changed</h2>${table({
    caption: 'Fields that have changed, newest first',
    rows: drift,
    columns: [
      { title: 'Seen, UTC', kind: 'short', cell: ({ atMs }) => time(atMs, nowMs) },
      {
        title: 'Event',
        kind: 'mono',
        onPhone: 'end',
        cell: ({ event }) => html`<a href="/console/events/${own(event)}">…${own(event.slice(-6))}</a>`,
      },
      { title: 'Type', kind: 'name', onPhone: 'wide', cell: ({ type }) => show(type, 80) },
      { title: 'Field', onPhone: 'wide', cell: ({ path }) => html`<code>${show(path, 200)}</code>` },
      {
        title: 'Change',
        onPhone: 'wide',
        cell: ({ what, from, to }) =>
          html`<b>${own(what)}</b> ${show([from, to].filter((each) => each !== undefined).join(' → '), 80)}`,
      },
    ],
    foot: html`<div class="foot"><span>Each is told once; the new shape counts as usual from then on.</span></div>`,
  })}</section>`
}

function keysOf({ name, keys }: SourceView, indexed: readonly IndexedPath[]): Html {
  if (keys.length === 0) return NOTHING
  const shareOf = (path: string): number =>
    indexed.find((each) => each.source === name && each.path === path)?.share ?? 0
  return html`<section class="card pad stack" aria-labelledby="keys"><h2 id="keys">Indexed paths</h2><p class="muted small">A search by one of these is answered at once.</p><dl class="kv">${keys.map((path) => html`<dt><code>${show(path, 120)}</code></dt><dd>${own(`${Math.floor(shareOf(path) * 100)} % of the stored events`)}</dd>`)}</dl></section>`
}
