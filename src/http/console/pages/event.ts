import { HoldfastError } from '../../../domain/errors.ts'
import type { EventDetail } from '../../../domain/event-store.ts'
import { within } from '../../../domain/within.ts'
import { uidOf } from '../../ops/events.ts'
import { again, live, onceMore } from '../html/again.ts'
import { copyButton } from '../html/copied.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import type { Page } from '../html/layout.ts'
import { state } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { bytes, day, duration, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { quoted } from '../search-words.ts'
import { actions, registerEventActions } from './event-actions.ts'
import { besideCard, besideOf } from './event-beside.ts'
import { crumb, neighboursOf, searchOf } from './event-neighbours.ts'
import { payloadFrom, payloadOf, urlOf } from './event-payload.ts'
import { followSeconds, type Story, storyReader } from './event-story.ts'
import { timeline } from './event-timeline.ts'
import { verdict } from './event-verdict.ts'

const DAY_MS = 86_400_000
/** For the events beside one the page waits no longer. */
const BESIDE_MS = 250

/** The page of one event: what happened to it, and what is in it. */
export function registerEvent(routes: ConsoleRoutes, options: ConsolePorts): void {
  const { store, handlers, retention } = options
  const read = storyReader(options)
  const storyOf = async ({ params }: Visit): Promise<Story> => {
    const uid = uidOf({ uid: params.uid ?? '' })
    const event = await store.event(uid)
    if (event === undefined)
      throw new HoldfastError(
        'event_not_found',
        `there is no event ${uid}: it may be older than the service keeps, or in another store`,
      )
    return read(event)
  }
  const told = (visit: Visit, story: Story, isPart = false): Html => html`${head(visit, story, handlers(), isPart)}
<p class="says">${verdict(story)}</p>
<section class="card" aria-labelledby="line"><div class="title"><h2 id="line">What happened</h2></div>${timeline(story, urlOf(visit, story.event, { show: 'headers' }))}</section>`

  routes.page('/events/:uid', async (visit): Promise<Page> => {
    const story = await storyOf(visit)
    const { event } = story
    const [payload, neighbours, beside] = await Promise.all([
      store.body(event.uid).then(payloadFrom, () => payloadFrom(undefined)),
      neighboursOf(store, event, visit),
      within(BESIDE_MS, besideOf(store, event, visit)),
    ])
    const aside = html`${identity(story, retention.periods())}${payloadOf(visit, event, payload)}${beside === undefined ? NOTHING : besideCard(visit, story, payload, beside)}`
    return {
      section: 'events',
      title: `${event.type}, ${event.outcome ?? event.status}`,
      content: html`<div>${crumb(visit, neighbours)}<div class="story"><div class="follow" id="story">${told(visit, story)}</div><div class="stack">${aside}</div></div></div>`,
    }
  })
  routes.part('/events/:uid', async (visit) => told(visit, await storyOf(visit), true))
  routes.download('/events/:uid/bytes', async ({ params }) => {
    const uid = uidOf({ uid: params.uid ?? '' })
    return { name: `${uid}.bin`, bytes: await store.body(uid) }
  })
  registerEventActions(routes, options)
}

/** Asks for the story again while it goes on. */
function following({ query }: Visit, story: Story, isPart: boolean): Html {
  const seconds = followSeconds(story)
  const { event, nowMs } = story
  const search = searchOf(query)
  const path = `/console/part/events/${event.uid}${search === '' ? '' : `?${search}`}`
  if (seconds === undefined) return isPart ? onceMore({ path, into: 'story', nowMs }, query) : NOTHING
  return html`${live('Live')}${again({ path, into: 'story', seconds, nowMs })}`
}

function head(visit: Visit, story: Story, handlers: ReturnType<ConsolePorts['handlers']>, isPart: boolean): Html {
  const { event } = story
  const { uid, type, outcome = 'none', status, sizeBytes } = event
  return html`<div class="head"><div class="bar"><h1 class="mono">${show(type, 128)}</h1>${state(outcome, own(outcome === 'none' ? status : outcome))}${following(visit, story, isPart)}</div>
<div class="bar">${actions(visit, event, handlers)}<a class="btn" href="/console/events/${own(uid)}/bytes" download>Exact bytes, ${own(bytes(sizeBytes))}</a></div></div>`
}

type Periods = ReturnType<ConsolePorts['retention']['periods']>

function identity({ event, nowMs }: Story, periods: Periods): Html {
  const { uid, id, source, provider, createdAt, createdAtSource, receivedAtMs, apiVersion } = event
  const { task, traceparent, checksum } = event
  const fact = (name: string, value: Html): Html => html`<dt>${own(name)}</dt><dd>${value}</dd>`
  const copied = (text: string, max = 128): Html =>
    html`<span class="mono">${show(text, max)}</span> ${copyButton(text, html`copy<span class="hide"> it</span>`)}`
  const createdMs = Date.parse(createdAt)
  const others = `/console/events?q=${encodeURIComponent(`source:${quoted(source)} id:${quoted(id)}`)}`
  return html`<section class="card pad" aria-labelledby="identity"><h2 id="identity" class="hide">Identity</h2><dl class="kv">
${fact('Uid', copied(uid))}${fact("Provider's id", html`${copied(id)} <a class="tiny nowrap" href="${own(others)}">find others</a>`)}
${fact('Source', html`<a href="/console/sources/${own(encodeURIComponent(source))}">${show(source, 60)}</a>${own(provider === source ? '' : `, ${provider}`)}${apiVersion === undefined ? NOTHING : html`, API ${show(apiVersion, 40)}`}`)}
${Number.isNaN(createdMs) || createdAtSource === 'received' ? NOTHING : fact('Created', html`${time(createdMs, nowMs)} UTC${own(lagOf(receivedAtMs - createdMs))}`)}
${fact('Kept until', own(keptUntil(event, periods, nowMs)))}
${task === undefined ? NOTHING : fact('Task', html`<a class="mono" href="/console/tasks/${own(encodeURIComponent(source))}/${own(encodeURIComponent(task))}">${show(task, 80)}</a>`)}
${traceparent === undefined ? NOTHING : fact('Trace', copied(traceparent))}
${fact('SHA-256', copied(checksum, 16))}
</dl></section>`
}

/** How long it was on its way; nothing if the clocks say it came before. */
const lagOf = (ms: number): string => (ms >= 1 ? `, ${duration(ms)} before it came` : '')

function keptUntil({ receivedAtMs, deliveries }: EventDetail, periods: Periods, nowMs: number): string {
  const { retentionDays, deadRetentionDays } = periods
  const isDead = deliveries.some(({ state: now }) => now === 'dead')
  const days = isDead && retentionDays > 0 ? deadRetentionDays : retentionDays
  if (days === 0) return 'for ever'
  return `${day(receivedAtMs + days * DAY_MS, nowMs)}${isDead ? ', while it is dead' : ''}`
}
