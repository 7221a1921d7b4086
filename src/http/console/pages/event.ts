import type { Attempt } from '../../../domain/delivery.ts'
import { type ErrorDetail, HoldfastError } from '../../../domain/errors.ts'
import type { EventDetail } from '../../../domain/event-store.ts'
import { isUid } from '../../../domain/names.ts'
import { between, type Html, html, NOTHING, own, when } from '../html/html.ts'
import { csrfField, type Page } from '../html/layout.ts'
import { type MarkName, mark, state, type Tone } from '../html/marks.ts'
import { payloadTree } from '../html/payload-tree.ts'
import { cut, plain, show } from '../html/show.ts'
import { bytes, counted, duration, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import type { ConsoleRoutes, Visit } from '../routes.ts'
import { quoted } from '../search-words.ts'

const MAX_TREE_BYTES = 1_048_576
const MAX_RAW = 16_384
const VIEWS = ['tree', 'raw', 'headers'] as const
type View = (typeof VIEWS)[number]

type Delivery = EventDetail['deliveries'][number]

export function registerEvent(routes: ConsoleRoutes, { store, replay }: ConsolePorts): void {
  const read = async (uid: string): Promise<EventDetail> => {
    const event = isUid(uid) ? await store.event(uid) : undefined
    if (event === undefined)
      throw new HoldfastError(
        'event_not_found',
        `there is no event ${uid}: it may be older than the service keeps, or in another store`,
      )
    return event
  }

  routes.page('/events/:uid', async (visit): Promise<Page> => {
    const event = await read(visit.params.uid ?? '')
    const body = await store.body(event.uid).catch(() => undefined)
    return {
      section: 'events',
      title: `${event.type}, ${event.outcome ?? event.status}`,
      content: story(visit, event, body),
    }
  })

  routes.form('/events/:uid/replay', 'event.replay', async ({ params: { uid = '' }, field }) => {
    const handler = field('handler')
    await replay(uid, handler === '' ? undefined : handler)
    return `/console/events/${uid}`
  })
}

function story(visit: Visit, event: EventDetail, body: Uint8Array | undefined): Html {
  const { uid, type, outcome = 'none', sizeBytes: size } = event
  return html`<div><p class="crumb"><a href="/console/events">Events</a> <span class="muted">/</span> ${crumb(visit)}</p>
<div class="head"><div class="bar"><h1 class="mono">${show(type, 128)}</h1>${state(outcome, own(outcome === 'none' ? event.status : outcome))}</div>
<div class="bar">${actions(visit, event)}<a class="btn" href="/console/events/${own(uid)}/bytes" download>Exact bytes, ${own(bytes(size))}</a></div></div></div>
<p class="says">${verdict(event, visit.nowMs)}</p>
<div class="story"><div class="stack"><section class="card" aria-labelledby="line"><div class="title"><h2 id="line">What happened</h2></div>${timeline(visit, event)}</section></div>
<div class="stack">${identity(visit, event)}${payload(visit, event, body)}</div></div>`
}

const crumb = ({ query }: Visit): Html => {
  const text = query.get('q')
  return text === null
    ? NOTHING
    : html`<a href="/console/events?q=${own(encodeURIComponent(text))}">${show(text, 80)}</a>`
}

function actions({ mayChange, frame }: Visit, { uid, deliveries }: EventDetail): Html {
  if (!mayChange) return NOTHING
  const failed = deliveries.filter(({ state: now }) => now === 'dead')
  const one = failed.length === 1 ? failed[0]?.handler : undefined
  return html`<form method="post" action="/console/events/${own(uid)}/replay">${csrfField(frame)}${one === undefined ? NOTHING : html`<input type="hidden" name="handler" value="${own(one)}">`}<button class="btn${own(failed.length > 0 ? ' go' : '')}" type="submit" data-key="r">Replay${one === undefined ? NOTHING : html` to ${show(one, 40)}`}</button></form>`
}

/** What has become of it, in a sentence for each handler. */
function verdict({ deliveries, status, reasons }: EventDetail, nowMs: number): Html {
  if (deliveries.length === 0) {
    const why = reasons.length === 0 ? NOTHING : html` ${show(reasons.join('; '), 400)}`
    return html`No handler has run it: it is <b>${own(status)}</b>.${why}`
  }
  return between(
    deliveries.map((delivery) => sentence(delivery, nowMs)),
    html` `,
  )
}

function sentence(
  { handler, state: now, attempts, dueAtMs, lastError, waitsForTurn, history }: Delivery,
  nowMs: number,
): Html {
  const name = html`<b>${show(handler, 80)}</b>`
  const tried = `tried ${counted(history.length, 'time')}`
  const why = lastError === undefined ? NOTHING : html`: <code>${show(lastError, 200)}</code>`
  switch (now) {
    case 'succeeded':
      return html`${name} succeeded.`
    case 'dead':
      return html`${name} ${own(tried)} and gave up${why}.`
    case 'discarded':
      return html`${name} is discarded${why}.`
    case 'running':
      return html`${name} runs now.`
    case 'pending':
      if (waitsForTurn === true) return html`${name} waits for its turn.`
      if (attempts === 0) return html`${name} has not run yet.`
      return html`${name} ${own(tried)} and tries again in ${own(duration(Math.max(0, dueAtMs - nowMs)))}${why}.`
  }
}

interface Moment {
  readonly atMs: number
  readonly mark: MarkName
  readonly tone?: Tone
  readonly title: Html
  readonly detail?: Html
}

function timeline({ nowMs }: Visit, event: EventDetail): Html {
  const { receivedAtMs, origin, source, sizeBytes: size, headers } = event
  const begin: readonly Moment[] = [
    {
      atMs: receivedAtMs,
      mark: origin === 'poll' ? 'asked' : 'received',
      title: html`${own(origin === 'poll' ? 'Answered to a poll' : origin === 'sample' ? 'Made as a sample' : origin === 'cli' ? 'Sent from the command line' : 'Received')} and stored`,
      detail: html`${origin === 'webhook' ? html`POST /v1/webhooks/${show(source, 60)} · ` : NOTHING}${own(bytes(size))} · ${own(counted(Object.keys(headers).length, 'header'))}`,
    },
  ]
  const moments = [...begin, ...event.deliveries.flatMap(momentsOf)].toSorted((one, other) => one.atMs - other.atMs)
  return html`<ol class="line">${moments.map(
    ({ atMs, mark: name, tone, title, detail }) =>
      html`<li>${time(atMs, nowMs, 'milliseconds')}<span class="dot">${mark(name, tone)}</span><div class="ev"><h3>${title}</h3>${detail ?? NOTHING}</div></li>`,
  )}</ol>`
}

/** The attempts of a delivery; those in the middle with the same error are one. */
function momentsOf({ handler, state: now, history }: Delivery): readonly Moment[] {
  const last = history.length - 1
  const moments: Moment[] = []
  for (let at = 0; at <= last; at++) {
    const attempt = history[at]
    if (attempt === undefined) continue
    let end = at
    while (at > 0 && end + 1 < last && history[end + 1]?.error === attempt.error && attempt.outcome !== 'succeeded')
      end++
    moments.push(
      end > at + 1
        ? folded(handler, history.slice(at, end + 1))
        : attemptOf(handler, attempt, at === last, at === last && now === 'dead'),
    )
    if (end > at + 1) at = end
  }
  return moments
}

const folded = (handler: string, attempts: readonly Attempt[]): Moment => {
  const [first, last] = [attempts[0], attempts.at(-1)]
  const lengths = attempts.map(({ durationMs }) => durationMs)
  return {
    atMs: first?.startedAtMs ?? 0,
    mark: 'failing',
    title: html`${show(handler, 60)}, attempts ${own(`${first?.number} to ${last?.number}`)}, the same error`,
    detail: html`<p>over ${own(duration((last?.startedAtMs ?? 0) - (first?.startedAtMs ?? 0)))} · ${own(duration(Math.min(...lengths)))} to ${own(duration(Math.max(...lengths)))} each</p>`,
  }
}

function attemptOf(
  handler: string,
  { number, outcome, error, errorDetail, startedAtMs, durationMs, replay }: Attempt,
  isLast: boolean,
  isDead: boolean,
): Moment {
  const isDone = outcome === 'succeeded'
  const words = isDone
    ? 'succeeded'
    : outcome === 'released'
      ? 'was put back'
      : `${outcome.replaceAll('_', ' ')} after ${duration(durationMs)}`
  const stack = isLast && errorDetail !== undefined ? trace(errorDetail) : NOTHING
  return {
    atMs: startedAtMs,
    mark: isDone ? 'succeeded' : isDead ? 'dead' : outcome === 'released' ? 'replayed' : 'failing',
    title: html`${show(handler, 60)}${own(`, attempt ${number}, ${words}`)}${own(isDead ? ': dead' : isDone ? ` in ${duration(durationMs)}` : '')}`,
    detail: html`${replay === undefined ? NOTHING : html`<p>of the <a href="/console/replays/${own(replay)}">replay …${own(replay.slice(-6))}</a></p>`}${stack === NOTHING && error !== undefined ? html`<p>${show(error, 300)}</p>` : stack}`,
  }
}

const MAX_CAUSES = 4

function trace(detail: ErrorDetail): Html {
  const parts: Html[] = []
  for (
    let at = 0, error: ErrorDetail | undefined = detail;
    error !== undefined && at < MAX_CAUSES;
    at++, error = error.cause
  ) {
    const code = error.code === undefined ? NOTHING : html` <span class="lib">${show(error.code, 60)}</span>`
    parts.push(html`<b>${own(at === 0 ? '' : 'because of ')}${show(`${error.name}: ${error.message}`, 1_000)}</b>${code}
${(error.stack ?? []).map(
  (frame) => html`<span class="own">    ${show(frame, 300)}</span>
`,
)}`)
  }
  return html`<pre class="trace" tabindex="0" role="region" aria-label="Stack">${parts}</pre>`
}

function identity(
  { nowMs }: Visit,
  { uid, id, source, provider, createdAt, apiVersion, task, traceparent, checksum }: EventDetail,
): Html {
  const fact = (name: string, value: Html): Html => html`<dt>${own(name)}</dt><dd>${value}</dd>`
  const copied = (text: string): Html =>
    html`<span class="mono">${show(text, 128)}</span> <button class="link tiny" type="button" data-copy="${plain(text, 512)}">copy</button>`
  const createdMs = Date.parse(createdAt)
  return html`<section class="card pad" aria-labelledby="identity"><h2 id="identity" class="hide">Identity</h2><dl class="kv">
${fact('Uid', copied(uid))}${fact("Provider's id", copied(id))}
${fact('Source', html`<a href="/console/sources/${own(encodeURIComponent(source))}">${show(source, 60)}</a>${own(provider === source ? '' : `, ${provider}`)}${apiVersion === undefined ? NOTHING : html`, API ${show(apiVersion, 40)}`}`)}
${Number.isNaN(createdMs) ? NOTHING : fact('Created', html`${time(createdMs, nowMs)} UTC`)}
${task === undefined ? NOTHING : fact('Task', html`<a href="/console/tasks/${own(encodeURIComponent(source))}/${own(encodeURIComponent(task))}">${show(task, 80)}</a>`)}
${traceparent === undefined ? NOTHING : fact('Trace', copied(traceparent))}
${fact('SHA-256', html`<span class="mono muted">${own(checksum.slice(0, 16))}…</span>`)}
</dl></section>`
}

function payload(visit: Visit, event: EventDetail, body: Uint8Array | undefined): Html {
  const view = VIEWS.find((each) => each === visit.query.get('show')) ?? 'tree'
  const url = (to: View): string => `/console/events/${event.uid}?show=${to}`
  return html`<section class="card" aria-labelledby="payload"><div class="title"><h2 id="payload">Payload</h2><nav class="seg" aria-label="Show">${VIEWS.map(
    (each) =>
      html`<a href="${own(url(each))}"${when(each === view, () => CURRENT)}>${own(`${each[0]?.toUpperCase()}${each.slice(1)}`)}</a>`,
  )}</nav></div>${body === undefined ? html`<p class="pad bad">Its stored bytes cannot be read.</p>` : shown(view, visit, event, body)}</section>`
}

const CURRENT = html` aria-current="true"`

function shown(view: View, { query }: Visit, { uid, headers, source }: EventDetail, body: Uint8Array): Html {
  if (view === 'headers')
    return html`<div class="pad"><dl class="kv mono">${Object.entries(headers).map(([name, value]) => html`<dt>${show(name, 80)}</dt><dd>${show(value ?? '', 600)}</dd>`)}</dl></div>`
  const text = Buffer.from(body.buffer, body.byteOffset, Math.min(body.byteLength, MAX_TREE_BYTES)).toString()
  const path = query.get('path')?.split('.') ?? []
  const tree =
    view === 'tree' && body.byteLength <= MAX_TREE_BYTES
      ? payloadTree(text, path, {
          findUrl: (at, value) =>
            `/console/events?q=${encodeURIComponent(`source:${quoted(source)} ${at}:${quoted(value)}`)}`,
          partUrl: (at) => `/console/events/${uid}?path=${encodeURIComponent(at)}`,
        })
      : undefined
  if (tree !== undefined) return tree
  return html`<pre class="trace raw" tabindex="0" role="region" aria-label="Payload">${between(
    cut(text, MAX_RAW)
      .split('\n')
      .slice(0, 400)
      .map((line) => show(line, MAX_RAW)),
    html`
`,
  )}</pre>${when(text.length > MAX_RAW, () => html`<p class="pad small muted">The first ${own(bytes(MAX_RAW))} of ${own(bytes(body.byteLength))}.</p>`)}`
}
