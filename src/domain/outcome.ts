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
