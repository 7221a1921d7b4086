import type { DeliverySummary } from './delivery.ts'

/**
 * What has become of an event, by its deliveries, the least pressing first: an event has the last of these that one of its deliveries
 * asks for.
 * - `none`: it has no delivery;
 * - `succeeded`: all have succeeded;
 * - `discarded`: one was discarded by an operator, and nothing is left to do;
 * - `pending`: one waits or runs;
 * - `failing`: one waits for another attempt after a failed one;
 * - `dead`: one is dead.
 */
export const OUTCOMES_BY_RANK = ['none', 'succeeded', 'discarded', 'pending', 'failing', 'dead'] as const
export type EventOutcome = (typeof OUTCOMES_BY_RANK)[number]
/** In the order in which an operator reads them. */
export const EVENT_OUTCOMES = ['succeeded', 'pending', 'failing', 'dead', 'discarded', 'none'] as const

type DeliveryLook = Pick<DeliverySummary, 'state' | 'attempts'>

/** The stores derive the same in SQL: `storage/shared/outcomes.ts`. */
export const outcomeOf = (deliveries: readonly DeliveryLook[]): EventOutcome =>
  OUTCOMES_BY_RANK[Math.max(0, ...deliveries.map(rankOf))] ?? 'none'

function rankOf({ state, attempts }: DeliveryLook): number {
  if (state === 'dead') return 5
  if (state === 'pending') return attempts > 0 ? 4 : 3
  if (state === 'running') return 3
  return state === 'discarded' ? 2 : 1
}
