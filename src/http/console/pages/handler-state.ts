import { type DeadCause, MAX_COUNTED } from '../../../domain/dead-letters.ts'
import type { CappedCount, Waiting } from '../../../domain/event-facets.ts'
import type { HandlerDefinition } from '../../../domain/handler.ts'
import type { Pause } from '../../../domain/pause.ts'
import type { Problem } from '../../../domain/problem.ts'
import type { HandlerDay } from '../../../domain/stats.ts'
import { within } from '../../../domain/within.ts'
import { html, NOTHING, own } from '../html/html.ts'
import { show } from '../html/show.ts'
import { ago, capped, counted, duration, time } from '../html/words.ts'
import type { ConsolePorts } from '../ports.ts'
import { inTime } from '../recent.ts'
import type { Finding } from './finding.ts'
import { briefSignature } from './signature.ts'

/** A handler as its pages show it. */
export interface SeenHandler {
  readonly name: string
  /** Undefined: no process has it any more, and deliveries wait for it. */
  readonly handler: HandlerDefinition | undefined
  readonly isRunning: boolean
  readonly pause: Pause | undefined
  /** Undefined, as `waiting` and `day`: the store does not tell. */
  readonly causes: readonly DeadCause[] | undefined
  readonly waiting: Waiting | undefined
  /** Of the status: most of its attempts fail. */
  readonly failing: Problem | undefined
  readonly day: HandlerDay | undefined
  /** Whether nothing was counted if there is no `day`. */
  readonly isCounted: boolean
}

/** Deliveries that have been due for longer are a backlog, as in the status. */
const BACKLOG_MS = 60_000

/** A page with the names of the handlers waits no longer for those that only the store knows. */
const NAMES_MS = 500

/** The handlers that there are, and those for which deliveries wait although no code has them, as far as that is known. */
export async function namesOf({
  handlers,
  status,
}: Pick<ConsolePorts, 'handlers' | 'status'>): Promise<readonly string[]> {
  const known = handlers().map(({ name }) => name)
  const missing = ((await within(NAMES_MS, status()))?.problems ?? []).flatMap(({ problem, handler }) =>
    problem === 'handler_missing' && handler !== undefined ? [handler] : [],
  )
  return [...new Set([...missing, ...known])]
}

export async function seeHandlers(names: readonly string[], options: ConsolePorts): Promise<readonly SeenHandler[]> {
  const { handlers, isRunning, pauses, deadCauses, day, status, waiting: read } = options
  const [days, dead, waiting, known] = await Promise.all([
    inTime(day()),
    inTime(deadCauses({})),
    inTime(read(names)),
    inTime(status()),
  ])
  const byName = new Map(handlers().map((handler) => [handler.name, handler]))
  return names.map((name) => ({
    name,
    handler: byName.get(name),
    isRunning: byName.has(name) && isRunning(name),
    pause: pauses.find('handler', name),
    causes: dead?.causes.filter((cause) => cause.handler === name),
    waiting: waiting?.find(({ handler }) => handler === name),
    failing: known?.problems.find(({ problem, handler }) => problem === 'handler_failing' && handler === name),
    day: days?.handlers.get(name),
    isCounted: days !== undefined,
  }))
}

/** Undefined: the store does not tell. */
export const deadCountOf = ({ causes }: Pick<SeenHandler, 'causes'>): CappedCount | undefined =>
  causes && {
    count: Math.min(
      MAX_COUNTED,
      causes.reduce((sum, { count }) => sum + count, 0),
    ),
    more: causes.some(({ isCapped }) => isCapped),
  }

const waitingText = ({ pending }: Waiting): string =>
  `${capped(pending)} ${pending.count === 1 ? 'delivery waits' : 'deliveries wait'}`

/** What is so, the worst first; the first one is its state. */
export function handlerFindings(seen: SeenHandler, nowMs: number): readonly [Finding, ...Finding[]] {
  const [first, ...rest] = [
    ...missing(seen),
    ...paused(seen, nowMs),
    ...failing(seen, nowMs),
    ...dead(seen),
    ...behind(seen, nowMs),
  ]
  return first === undefined ? [steady(seen)] : [first, ...rest]
}

/** States as a list has them: those first that need a hand most. */
const ORDER = ['missing', 'not running', 'failing', 'dead', 'behind', 'paused', 'not known']

export function weightOf(seen: SeenHandler, nowMs: number): number {
  const at = ORDER.indexOf(handlerFindings(seen, nowMs)[0].word)
  return at === -1 ? ORDER.length : at
}

function missing({ handler, isRunning, waiting }: SeenHandler): readonly Finding[] {
  if (isRunning) return []
  const wait = waiting === undefined ? 'its deliveries wait' : waitingText(waiting)
  return [
    {
      mark: 'warning',
      tone: 'bad',
      word: handler === undefined ? 'missing' : 'not running',
      why: own(wait),
      says:
        handler === undefined
          ? html`No process has a handler of this name any more, and ${own(wait)} for it. Bring it back under this name, or, if it was renamed, replay those events: they are routed anew.`
          : html`No running worker has it; ${own(wait)} until one does. Start a worker with this release.`,
    },
  ]
}

function paused({ pause, waiting }: SeenHandler, nowMs: number): readonly Finding[] {
  if (pause === undefined) return []
  const { by, reason, sinceMs } = pause
  return [
    {
      mark: 'paused',
      word: 'paused',
      why: html`by ${show(by, 40)}${reason === undefined ? NOTHING : html`: ${show(reason, 120)}`}`,
      says: html`Paused by ${show(by, 60)} since ${time(sinceMs, nowMs)} UTC (${own(duration(nowMs - sinceMs))})${reason === undefined ? NOTHING : html`: ${show(reason, 256)}`}. Events are acknowledged and stored; ${own(waiting === undefined ? 'its deliveries wait' : waitingText(waiting))}.`,
    },
  ]
}

function dead(seen: SeenHandler): readonly Finding[] {
  const all = deadCountOf(seen)
  const [worst, ...others] = seen.causes ?? []
  if (all === undefined || worst === undefined) return []
  const kinds = others.length === 0 ? '' : `, of ${others.length + 1} causes`
  const [are, they] = all.count === 1 ? ['delivery is', 'It is'] : ['deliveries are', 'They are']
  return [
    {
      mark: 'dead',
      word: 'dead',
      why: show(briefSignature(worst.signature), 120),
      says: html`${own(`${capped(all)} ${are} dead${kinds}. ${they} not tried again by ${all.count === 1 ? 'itself' : 'themselves'}.`)} Mend the cause below, try one, then replay the rest.`,
    },
  ]
}

function behind({ waiting, pause, isRunning }: SeenHandler, nowMs: number): readonly Finding[] {
  const sinceMs = waiting?.dueSinceMs
  if (
    waiting === undefined ||
    sinceMs === undefined ||
    nowMs - sinceMs < BACKLOG_MS ||
    pause !== undefined ||
    !isRunning
  )
    return []
  return [
    {
      mark: 'warning',
      word: 'behind',
      why: html`${own(waitingText(waiting))}, the oldest ${own(duration(nowMs - sinceMs))}`,
      says: html`It does not keep up: ${own(waitingText(waiting))}, and the oldest has been due for ${own(duration(nowMs - sinceMs))}. Look at its times, and at what its policy allows at once.`,
    },
  ]
}

function failing({ failing: problem }: SeenHandler, nowMs: number): readonly Finding[] {
  if (problem === undefined) return []
  const { summary, count, cause, sinceMs } = problem
  const error = cause === undefined ? NOTHING : html`: <span class="mono">${show(cause, 200)}</span>`
  return [
    {
      mark: 'failing',
      tone: 'bad',
      word: 'failing',
      why: cause === undefined ? own(summary) : show(cause, 120),
      says: html`Most of its attempts fail${error}. ${own(counted(count, 'delivery', 'deliveries'))} wait to be tried again, as its policy says${sinceMs === undefined ? NOTHING : html`; the oldest came ${ago(sinceMs, nowMs)}`}. Mend what they fail at, and they run by themselves.`,
    },
  ]
}

/** What the store does not tell is not taken for well. */
const UNKNOWN: Finding = {
  mark: 'none',
  word: 'not known',
  why: own('the store does not answer'),
  says: own('The store does not tell now whether it keeps up. This page tells it as soon as the store does.'),
}

function steady({ day, waiting, causes }: SeenHandler): Finding {
  if (waiting === undefined || causes === undefined) return UNKNOWN
  const p50Ms = day?.times.p50Ms
  const takes = p50Ms === undefined ? '' : ` An attempt takes ${duration(p50Ms)} (median).`
  const wait = waiting.pending.count === 0 ? 'nothing waits' : waitingText(waiting)
  return {
    mark: 'succeeded',
    word: 'steady',
    why: own(wait),
    says: own(`It keeps up: ${wait}.${takes}`),
  }
}
