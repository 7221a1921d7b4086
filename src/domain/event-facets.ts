import type { DeliverySummary } from './delivery.ts'
import { HoldfastError } from './errors.ts'
import type { EventFilter } from './event-filter.ts'
import { type EventOutcome, OUTCOMES_BY_RANK } from './outcome.ts'

/** Events that are counted of one outcome, and names that are suggested, at most. */
export const MAX_COUNTED = 10_000
export const MAX_SUGGESTED = 20
/** Deliveries of all events together that `deliveriesOf` reads. */
export const MAX_DELIVERIES_OF = 512

/** Waiting deliveries that are counted of one handler. */
export const MAX_WAITING_COUNTED = 1_000

/** Deliveries of all handlers together that `retrying` reads. */
export const MAX_RETRYING_READ = 2_000

/** The deliveries of one handler whose last attempt failed, and that wait for another one. */
export interface Retrying extends CappedCount {
  readonly handler: string
  /** When the event of the oldest of them came; undefined: it cannot be read. */
  readonly oldestReceivedAtMs: number | undefined
}

/** The deliveries of one handler that are not done. */
export interface Waiting {
  readonly handler: string
  /** Those that are pending, of `MAX_WAITING_COUNTED` at most; `more`: there may be more. */
  readonly pending: CappedCount
  /** Since when the oldest of those that are due has been due; undefined: none is due. */
  readonly dueSinceMs: number | undefined
}

/** `more`: there may be more events than were counted. */
export interface CappedCount {
  readonly count: number
  readonly more: boolean
}
export type OutcomeCounts = Readonly<Record<EventOutcome, CappedCount>>

/** What a list of events shows beside the events: what there is to choose from, and what became of each. */
export interface EventFacets {
  /**
   * The deliveries of these events (some tens of them), at most `MAX_DELIVERIES_OF`, those of one event in order, without
   * the ids of their causes. An event that is not there, or lies on a damaged page, has none.
   */
  deliveriesOf(uids: readonly string[]): Promise<readonly DeliverySummary[]>
  /** How many events of a filter have each outcome, by a bounded number of events. Rejects with `invalid_request` for a filter on payloads or on the outcome. */
  countByOutcome(filter: EventFilter): Promise<OutcomeCounts>
  /** Names of sources or types that stored events have, in order, at most `MAX_SUGGESTED`. */
  namesWith(field: 'source' | 'type', prefix: string): Promise<readonly string[]>
  /** What waits for each of these handlers (some tens of them), in their order, also if nothing does. */
  waiting(handlers: readonly string[]): Promise<readonly Waiting[]>
  /** What waits to be tried again, of each handler for which anything does, of the oldest `MAX_RETRYING_READ`. */
  retrying(): Promise<readonly Retrying[]>
}

export interface RetryingRow {
  readonly handler: string
  readonly n: number
  readonly receivedAtMs: number | null
}

export function retryingOf(rows: readonly RetryingRow[]): readonly Retrying[] {
  const more = rows.reduce((sum, { n }) => sum + n, 0) >= MAX_RETRYING_READ
  return rows.map(({ handler, n, receivedAtMs }) => ({
    handler,
    count: n,
    more,
    oldestReceivedAtMs: receivedAtMs ?? undefined,
  }))
}

/** Blocked deliveries wait for their turn, and count as pending. They are looked for among so many that are `open` in their order. */
export function waitingOf(row: {
  readonly handler: string
  readonly pending: number
  readonly blocked: number
  readonly open: number
  readonly dueSinceMs: number | undefined
}): Waiting {
  const count = Number(row.pending) + Number(row.blocked)
  return {
    handler: row.handler,
    pending: {
      count: Math.min(count, MAX_WAITING_COUNTED),
      more: Math.max(count, Number(row.open)) > MAX_WAITING_COUNTED,
    },
    dueSinceMs: row.dueSinceMs,
  }
}

export function checkCountedFilter({ contains, match, outcome }: EventFilter): void {
  if (contains !== undefined || match !== undefined || outcome !== undefined)
    throw new HoldfastError('invalid_request', 'events are counted by outcome, and not by what they contain')
}

/** The counts of the newest events, by the places of their outcomes in `OUTCOMES_BY_RANK`. `isWhole`: there are no others. */
export function countsOfNewest(
  ranks: readonly { readonly rank: number; readonly n: number }[],
  isWhole: boolean,
): OutcomeCounts {
  const entries = OUTCOMES_BY_RANK.map((outcome, rank) => {
    const count = ranks.find((row) => row.rank === rank)?.n ?? 0
    return [outcome, { count, more: !isWhole }] as const
  })
  return Object.fromEntries(entries) as Record<EventOutcome, CappedCount>
}
