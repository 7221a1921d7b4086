import type { EventFilter } from '../../../domain/event-filter.ts'
import type { ReplayFilter, ReplayJob } from '../../../domain/replay-jobs.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import { show } from '../html/show.ts'
import { quoted, wordOfPath } from '../search-words.ts'

/** The words of a search that finds these events; what they cannot say is left out: deliveries, handlers and causes. */
export function wordsOf({
  sinceMs,
  untilMs,
  match = [],
  contains,
  q,
  delivery,
  outcome,
  ...rest
}: ReplayFilter): string {
  const { source, type, status, origin, task } = rest
  const became: EventFilter['outcome'] = outcome ?? (delivery === 'waiting' ? 'failing' : delivery)
  const fields = { source, type, status, origin, task, id: q, outcome: became }
  return [
    ...Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`${name}:${quoted(value)}`])),
    ...match.map(({ path, value }) => wordOfPath(path, value)),
    ...(contains === undefined
      ? []
      : [/^"?[^\s":]+"?$/.test(contains) ? contains : `"${contains.replaceAll(/[\\"]/g, '\\$&')}"`]),
    ...(sinceMs === undefined ? [] : [`since:${new Date(sinceMs).toISOString()}`]),
    ...(untilMs === undefined ? [] : [`until:${new Date(untilMs).toISOString()}`]),
  ].join(' ')
}

/** What a job replays, in words; with a capital letter, or inside of a sentence. */
export function whatOf({ filter, handler }: ReplayJob, isInside = false): Html {
  const { sinceMs: _since, untilMs: _until, ...others } = filter
  const to = handler ?? filter.handler
  const { delivery, cause, ...rest } = others
  const words = wordsOf(rest)
  const noun = nounOf(delivery, words === '')
  const of = words === '' ? NOTHING : html` that match <span class="mono">${show(words, 120)}</span>`
  const one = cause === undefined ? '' : ' of one cause'
  return html`${own(isInside ? noun : `${noun[0]?.toUpperCase()}${noun.slice(1)}`)}${own(one)}${to === undefined ? NOTHING : html` to <b>${show(to, 60)}</b>`}${of}`
}

function nounOf(delivery: ReplayFilter['delivery'], isAll: boolean): string {
  if (delivery === undefined) return isAll ? 'all events' : 'events'
  return delivery === 'dead' ? 'dead letters' : `${delivery} deliveries`
}

/** The list of what a job is for, as it is now. */
export function listOf({ filter, handler }: ReplayJob): string {
  const { cause, source } = filter
  const to = filter.handler ?? handler
  if (filter.delivery === 'dead' && (cause !== undefined || to !== undefined)) {
    const named = Object.entries({ handler: to, source, cause }).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    )
    return `/console/dead/list?${new URLSearchParams(named).toString()}`
  }
  const words = wordsOf(filter)
  return words === '' ? '/console/events' : `/console/events?q=${encodeURIComponent(words)}`
}

/** Whether a job is for the same events, however long ago it was asked for. */
export const jobLike = ({ filter }: ReplayJob, other: ReplayFilter): boolean => timeless(filter) === timeless(other)

const timeless = ({ sinceMs: _since, untilMs: _until, ...filter }: ReplayFilter): string =>
  JSON.stringify(Object.entries(filter).toSorted(([one], [other]) => (one < other ? -1 : 1)))
