import type { DeliverySummary } from '../domain/delivery.ts'
import type { DeliveryQueue } from '../domain/delivery-queue.ts'
import type { EventFacets, Waiting } from '../domain/event-facets.ts'
import type { Pause } from '../domain/pause.ts'
import type { Problem } from '../domain/problem.ts'
import type { Counts } from '../domain/store-health.ts'
import { type Check, counted } from './check.ts'

/** Deliveries that have been due for longer are a backlog; and a critical one after the longer time. */
const BACKLOG_MS = 60_000
const CRITICAL_BACKLOG_MS = 15 * 60_000
/** Fewer deliveries that wait to be tried again are no problem yet. */
const MIN_RETRYING = 10
/** What began to fail later may be over in a moment. */
const SHORT_MS = 60_000
/** The newest deliveries of a handler, by which it is judged. */
const NEWEST = 100
/** Handlers whose deliveries are looked at, of each kind of trouble. */
const MAX_HANDLERS = 50

/** A handler whose newest deliveries fail, mostly. */
export interface FailingHandler {
  readonly handler: string
  readonly count: number
  readonly more: boolean
  /** When the event of the oldest delivery came that waits to be tried again. */
  readonly sinceMs: number | undefined
  /** Of the newest delivery that failed. */
  readonly error: string | undefined
}

export interface ReadDeliveries extends Pick<DeliveryQueue, 'deliveries'> {
  readonly facets: Pick<EventFacets, 'retrying' | 'waiting'>
}

/** Handlers that run, are not paused, and fail. A mended one is not among them from the time at which its newest deliveries succeed. */
export async function readFailing(
  store: ReadDeliveries,
  isOn: (handler: string) => boolean,
): Promise<readonly FailingHandler[]> {
  const candidates = (await store.facets.retrying())
    .filter(({ handler, count }) => count >= MIN_RETRYING && isOn(handler))
    .toSorted((one, other) => other.count - one.count)
    .slice(0, MAX_HANDLERS)
  const judged = await Promise.all(
    candidates.map(async ({ handler, count, more, oldestReceivedAtMs: sinceMs }) => {
      const { items } = await store.deliveries({ handler }, { limit: NEWEST })
      const failed = items.filter(hasFailed)
      const succeeded = items.filter(({ state }) => state === 'succeeded').length
      if (failed.length <= succeeded) return []
      return [{ handler, count, more, sinceMs, error: failed[0]?.lastError }]
    }),
  )
  return judged.flat()
}

const hasFailed = ({ state, lastError }: DeliverySummary): boolean =>
  state !== 'succeeded' && state !== 'discarded' && lastError !== undefined

/** What waits for the handlers that are paused, and for those that run if anything has been due for long. */
export async function readWaiting(
  { facets }: ReadDeliveries,
  { counts, paused, running, nowMs }: WaitingOf,
): Promise<ReadonlyMap<string, Waiting>> {
  const on = isBacklog(counts?.oldestDueAtMs, nowMs) ? running.filter((name) => !paused.includes(name)) : []
  const names = [...paused.slice(0, MAX_HANDLERS), ...on.slice(0, MAX_HANDLERS)]
  if (names.length === 0) return new Map()
  return new Map((await facets.waiting(names)).map((each) => [each.handler, each]))
}

interface WaitingOf {
  readonly counts: Counts | undefined
  readonly paused: readonly string[]
  readonly running: readonly string[]
  readonly nowMs: number
}

const isBacklog = (dueAtMs: number | undefined, nowMs: number): dueAtMs is number =>
  dueAtMs !== undefined && nowMs - dueAtMs >= BACKLOG_MS

export const handlersMissing: Check = ({ missingHandlers }) =>
  missingHandlers.map((handler) => ({
    problem: 'handler_missing',
    severity: 'critical',
    summary: 'no running worker has this handler; its deliveries wait',
    count: 1,
    handler,
  }))

export const handlersFailing: Check = ({ failing, nowMs }) =>
  failing
    .filter(({ sinceMs = 0 }) => nowMs - sinceMs >= SHORT_MS)
    .map(({ handler, count, more, sinceMs, error }) => ({
      problem: 'handler_failing',
      severity: 'warning',
      summary: `most attempts fail; ${more ? 'more than ' : ''}${waits(count)} to be tried again`,
      count,
      ...(sinceMs !== undefined && { sinceMs }),
      ...(error !== undefined && { cause: error }),
      handler,
      command: 'holdfast events list --outcome failing',
    }))

/** By handler, as far as it is known whose deliveries are due. */
export const backlog: Check = ({ counts, waiting, pauses, nowMs }) => {
  const dueAtMs = counts?.oldestDueAtMs
  if (counts === undefined || !isBacklog(dueAtMs, nowMs)) return []
  const behind = [...waiting.values()].flatMap(({ handler, pending, dueSinceMs: sinceMs }) =>
    isBacklog(sinceMs, nowMs) && !isPaused(pauses, handler)
      ? [{ ...backlogOf(sinceMs, nowMs), ...waitingWords(pending), handler }]
      : [],
  )
  if (behind.length > 0) return behind
  const count = Math.max(1, counts.deliveries.pending)
  const summary = `${counted(count, 'delivery', 'deliveries')} pending, and some of them due`
  return [{ ...backlogOf(dueAtMs, nowMs), summary, count }]
}

const backlogOf = (sinceMs: number, nowMs: number): Omit<Problem, 'summary' | 'count'> => ({
  problem: 'backlog',
  severity: nowMs - sinceMs < CRITICAL_BACKLOG_MS ? 'warning' : 'critical',
  sinceMs,
  command: 'holdfast events list --outcome pending',
})

const waits = (count: number): string => `${counted(count, 'delivery', 'deliveries')} ${count === 1 ? 'waits' : 'wait'}`

const waitingWords = ({ count, more }: Waiting['pending']): Pick<Problem, 'summary' | 'count'> => ({
  summary: `${more ? 'more than ' : ''}${waits(count)}`,
  count: Math.max(1, count),
})

const isPaused = (pauses: readonly Pause[], handler: string): boolean =>
  pauses.some(({ kind, name }) => kind === 'handler' && name === handler)

export const paused: Check = ({ pauses, waiting }) =>
  pauses.map(({ kind, name, by, reason, sinceMs }) => {
    const pending = kind === 'handler' ? waiting.get(name)?.pending : undefined
    return {
      problem: `${kind}_paused`,
      severity: 'notice',
      ...(pending === undefined || pending.count === 0
        ? {
            summary: pending === undefined ? 'its deliveries wait: it is paused' : 'it is paused, and nothing waits',
            count: 1,
          }
        : { ...waitingWords(pending), summary: `${waitingWords(pending).summary} while it is paused` }),
      sinceMs,
      cause: `by ${by}${reason === undefined ? '' : `: ${reason}`}`,
      [kind]: name,
      command: `holdfast ${kind}s resume ${name}`,
    }
  })
