import { HoldfastError } from '../../../domain/errors.ts'
import type { Pause } from '../../../domain/pause.ts'
import type { Problem, ProblemName } from '../../../domain/problem.ts'
import type { SourceSetup, SourceState } from '../../../domain/source.ts'
import type { SourceHealth } from '../../../domain/source-health.ts'
import type { SourceDay } from '../../../domain/stats.ts'
import type { SourceView } from '../../schemas/configuration.ts'
import { type Html, html, NOTHING, own } from '../html/html.ts'
import type { MarkName } from '../html/marks.ts'
import { show } from '../html/show.ts'
import { ago, counted, duration, moment } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { inTime } from '../recent.ts'
import type { Visit } from '../routes.ts'
import type { Finding } from './finding.ts'

/** A source as its pages show it. */
export interface SeenSource {
  readonly source: SourceView
  readonly setup: SourceSetup
  /** Undefined: the store does not tell. */
  readonly state: SourceState | undefined
  readonly health: SourceHealth
  readonly pause: Pause | undefined
  /** Of the status, those of this source. */
  readonly problems: readonly Problem[]
  /** Whether webhooks are answered 503 now: events cannot be stored, or not be routed. */
  readonly isTurnedAway: boolean
  /** Undefined: nothing was counted, or the store does not tell; `isCounted` says which. */
  readonly day: SourceDay | undefined
  readonly isCounted: boolean
}

/** Throws `unknown_source`. */
export function sourceIn({ sources }: Pick<ConsolePorts, 'sources'>, { params: { name = '' } }: Visit): SourceView {
  const source = sources().find((each) => each.name === name)
  if (source === undefined) throw new HoldfastError('unknown_source', `there is no source ${name}`)
  return source
}

export async function seeSource(
  source: SourceView,
  { sourceState, sourceHealth, sourceSetup, pauses, day, status }: ConsolePorts,
): Promise<SeenSource> {
  const { name } = source
  const [state, days, known] = await Promise.all([inTime(sourceState(name)), inTime(day()), inTime(status())])
  return {
    source,
    setup: sourceSetup(name),
    state,
    health: sourceHealth(name),
    pause: pauses.find('source', name),
    problems: known?.problems.filter((each) => each.source === name) ?? [],
    isTurnedAway:
      known?.problems.some(({ problem }) => problem === 'store_failing' || problem === 'routes_unknown') === true,
    day: days?.sources.get(name),
    isCounted: days !== undefined,
  }
}

/** As the store or this process tells it: what came a moment ago may not be stored yet. */
export function lastWebhookOf({ state, health }: SeenSource): number | undefined {
  const known = [state?.lastWebhookAtMs, health.lastWebhookAtMs].filter((ms) => ms !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}

/** As the API tells it. */
export const silentSinceOf = ({ state, health }: SeenSource): number | undefined =>
  health.silentSinceMs ?? state?.silentSinceMs

/** What is so, the worst first; the first one is its state. */
export function findingsOf(seen: SeenSource, nowMs: number): readonly [Finding, ...Finding[]] {
  const bad = [
    ...turnedAway(seen),
    ...refused(seen, nowMs),
    ...silent(seen, nowMs),
    ...breaker(seen, nowMs),
    ...paused(seen, nowMs),
    ...seen.problems.flatMap((problem) => other(problem, seen)),
  ]
  const [first, ...rest] = bad
  return first === undefined ? [arriving(seen, nowMs)] : [first, ...rest]
}

/** Where an operator has the settings read again. */
export const RELOAD = html`<a href="/console/config">reload</a>`

const since = (ms: number, nowMs: number): Html => html`since ${moment(ms, nowMs)} UTC (${own(duration(nowMs - ms))})`

/** When a trouble began may be told to the minute only: what came later than this came after it. */
const AGAIN_MS = 60_000

function turnedAway({ isTurnedAway }: SeenSource): readonly Finding[] {
  if (!isTurnedAway) return []
  return [
    {
      mark: 'refused',
      word: 'turned away',
      why: own('events cannot be stored now'),
      says: html`Webhooks that come are answered 503, because events cannot be stored or routed now; most providers send them again later. <a href="/console/config#process">See the process</a>.`,
    },
  ]
}

function refused(seen: SeenSource, nowMs: number): readonly Finding[] {
  const { refusingSinceMs, refusingReason } = seen.health
  if (refusingSinceMs === undefined) return []
  const reason = refusingReason?.replaceAll('_', ' ') ?? 'unknown'
  const lastMs = lastWebhookOf(seen)
  const accepted =
    lastMs !== undefined && lastMs >= refusingSinceMs + AGAIN_MS
      ? html` The last one that was accepted came ${ago(lastMs, nowMs)}: if more of them are, this state ends by itself.`
      : NOTHING
  return [
    {
      mark: 'refused',
      word: 'refused',
      why: html`${own(reason)} for ${own(duration(nowMs - refusingSinceMs))}`,
      says: html`Requests have been refused ${since(refusingSinceMs, nowMs)}, and none or hardly any is accepted. The reason is mostly <b>${own(reason)}</b>: below is what it means, and how to mend it.${accepted}`,
    },
  ]
}

function silent(seen: SeenSource, nowMs: number): readonly Finding[] {
  const sinceMs = silentSinceOf(seen)
  const lastMs = lastWebhookOf(seen)
  const isOver = seen.health.silentSinceMs !== undefined && (lastMs ?? 0) >= seen.health.silentSinceMs + AGAIN_MS
  // The service judges every some seconds; here one that has come again counts at once.
  if (sinceMs === undefined || isOver) return []
  const { missed } = seen.setup
  const { lacks, why, setting } = seen.health.silentSinceMs === undefined ? endedByPoll(seen) : expected(seen)
  return [
    {
      mark: 'silent',
      word: 'silent',
      why: html`nothing for ${own(duration(nowMs - sinceMs))}${why}`,
      says: html`No webhook has come ${since(sinceMs, nowMs)}${lacks}. Look whether the webhook is still registered at the provider and switched on, and whether its URL is the one below.${setting}${missed === undefined ? NOTHING : html` Webhooks that did not arrive: ${show(missed, 400)}`}`,
    },
  ]
}

/** How one knows that a webhook should have come, in a sentence and in a list; and what to set if none should. */
interface Lacking {
  readonly lacks: Html
  readonly why: Html
  readonly setting: Html
}

function endedByPoll({ state: now }: SeenSource): Lacking {
  const tasks = html`, and ${own(counted(now?.recovered ?? 0, 'task'))} of the last hour ended by a poll`
  return { lacks: tasks, why: tasks, setting: NOTHING }
}

function expected(seen: SeenSource): Lacking {
  const { expectEvery, variable } = seen.setup
  const name = html`<code>${own(variable)}_EXPECT_EVERY</code>`
  const setting = html` If it is right that none comes, set ${name} to <code>off</code> or to a longer time, such as <code>7d</code>, and ${RELOAD}.`
  if (typeof expectEvery !== 'number') return { lacks: usually(seen), why: usually(seen), setting }
  const every = duration(expectEvery)
  return {
    lacks: html`, although one is expected every ${own(every)} (${name})`,
    why: html`, expected every ${own(every)}`,
    setting,
  }
}

function usually({ health: { usualGapMs } }: SeenSource): Html {
  return usualGapMs === undefined ? NOTHING : html`, usually one every ${own(duration(usualGapMs))}`
}

function breaker({ state: now }: SeenSource, nowMs: number): readonly Finding[] {
  if (now?.breaker !== 'open' && now?.breaker !== 'half_open') return []
  const { outage } = now
  const word = now.breaker === 'open' ? 'breaker open' : 'breaker half open'
  const next =
    now.breaker === 'half_open'
      ? 'It tries one now'
      : outage === undefined || outage.retryInMs <= 0
        ? 'It tries one as soon as a task is due'
        : `It tries one in ${duration(outage.retryInMs)}`
  const cause = outage === undefined ? NOTHING : html` ${show(outage.cause.replace(/\.?$/, '.'), 300)}`
  return [
    {
      mark: 'open',
      word,
      why: outage === undefined ? own("calls to the provider's API fail") : show(outage.cause, 120),
      says: html`Calls to the provider's API have failed${outage === undefined ? NOTHING : html` ${since(outage.sinceMs, nowMs)}`}.${cause} The service has paused them. ${own(next)}, and goes on if that succeeds. Tasks are not polled meanwhile; webhooks arrive all the same.`,
    },
  ]
}

function paused({ pause }: SeenSource, nowMs: number): readonly Finding[] {
  if (pause === undefined) return []
  return [
    {
      mark: 'paused',
      word: 'paused',
      why: html`by ${show(pause.by, 40)}${pause.reason === undefined ? NOTHING : html`: ${show(pause.reason, 120)}`}`,
      says: html`Paused by ${show(pause.by, 60)} ${since(pause.sinceMs, nowMs)}${pause.reason === undefined ? NOTHING : html`: ${show(pause.reason, 256)}`}. Its webhooks are acknowledged and stored; their deliveries wait.`,
    },
  ]
}

const OTHERS: Readonly<Partial<Record<ProblemName, { mark: MarkName; word: string; path: (name: string) => string }>>> =
  {
    events_quarantined: {
      mark: 'warning',
      word: 'quarantined',
      path: (name) => `/console/events?q=${encodeURIComponent(`source:${name} status:quarantined`)}`,
    },
    tasks_stuck: {
      mark: 'warning',
      word: 'tasks stuck',
      path: (name) => `/console/tasks?source=${encodeURIComponent(name)}&status=pending`,
    },
    tasks_expired: {
      mark: 'warning',
      word: 'tasks expired',
      path: (name) => `/console/tasks?source=${encodeURIComponent(name)}&status=expired`,
    },
    schema_drift: { mark: 'note', word: 'fields changed', path: () => '#drift' },
  }

function other({ problem, summary, severity, cause }: Problem, { source }: SeenSource): readonly Finding[] {
  const known = OTHERS[problem]
  if (known === undefined || severity === 'notice') return []
  return [
    {
      mark: known.mark,
      word: known.word,
      why: show(summary, 120),
      says: html`${show(`${summary.charAt(0).toUpperCase()}${summary.slice(1)}`, 200)}${cause === undefined ? NOTHING : html` (${show(cause, 120)})`}. <a href="${own(known.path(source.name))}">Look at them</a>.`,
    },
  ]
}

function arriving(seen: SeenSource, nowMs: number): Finding {
  const lastMs = lastWebhookOf(seen)
  // A webhook that this process took is known without the store.
  if (seen.state === undefined && lastMs === undefined)
    return {
      mark: 'none',
      word: 'not known',
      why: own('the store does not answer'),
      says: html`The store does not tell now when the last webhook came. This page tells it as soon as the store does.`,
    }
  const { usualGapMs } = seen.health
  if (lastMs === undefined)
    return {
      mark: 'none',
      word: 'no event yet',
      why: own('nothing has come yet'),
      says: html`No webhook has come yet. Register the URL below at the provider. To see first what your handlers do, send a sample.`,
    }
  const today = seen.day?.total.received ?? (seen.isCounted ? 0 : undefined)
  return {
    mark: 'succeeded',
    word: 'receiving',
    why: usualGapMs === undefined ? NOTHING : html`usually every ${own(duration(usualGapMs))}`,
    says: html`Webhooks arrive: the last one came ${ago(lastMs, nowMs)}${usually(seen)}${own(today === undefined ? '' : `; ${counted(today, 'event')} in 24 hours`)}.`,
  }
}
