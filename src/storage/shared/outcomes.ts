import type { EventFilter } from '../../domain/event-filter.ts'
import { type EventOutcome, OUTCOMES_BY_RANK } from '../../domain/outcome.ts'
import type { Condition } from './list-pages.ts'

/** The rule of `domain/outcome.ts` in SQL, for a row of the table `event`: the place of its outcome in `OUTCOMES_BY_RANK`. */
export const OUTCOME_RANK = `coalesce((
  SELECT max(CASE WHEN o.state = 'dead' THEN 5 WHEN o.state = 'succeeded' THEN 1 WHEN o.state = 'discarded' THEN 2
    WHEN o.state = 'pending' AND o.attempts > 0 THEN 4 ELSE 3 END)
  FROM delivery AS o WHERE o.key BETWEEN event.key * 1024 AND event.key * 1024 + 1023
), 0)`

export const outcomeAt = (rank: number): EventOutcome => OUTCOMES_BY_RANK[rank] ?? 'none'

export const hasOutcome = (outcome: EventOutcome | undefined): readonly Condition<never>[] =>
  outcome === undefined ? [] : [[`${OUTCOME_RANK} = ${OUTCOMES_BY_RANK.indexOf(outcome)}`]]

/** Deliveries of one kind, and the partial index that has all of them in order of key. */
interface Driver {
  readonly index?: string
  readonly condition: string
}

/**
 * The deliveries that lead to the events of an outcome in order of arrival. What succeeded, and what has no delivery, is not found by
 * deliveries.
 */
export const OUTCOME_DRIVERS: Readonly<Partial<Record<EventOutcome, Driver>>> = {
  dead: { index: 'delivery_dead', condition: "d.state = 'dead'" },
  failing: { index: 'delivery_failing', condition: "d.state = 'pending' AND d.attempts > 0" },
  discarded: { index: 'delivery_discarded', condition: "d.state = 'discarded'" },
  pending: { condition: "d.state IN ('pending', 'running', 'blocked', 'unplaced')" },
}

/** The outcomes of which an index has all events. */
export const DRIVEN_APART = ['dead', 'failing', 'discarded'] as const

/** Whether events are listed in order of arrival and not by their time of receipt. */
export const isByArrival = ({ outcome }: EventFilter): boolean =>
  outcome !== undefined && OUTCOME_DRIVERS[outcome] !== undefined

/** Of the deliveries `d` with keys in this range, the last of each event, so that each event is found once. */
export const drivenIn = <Value>({ condition }: Driver, first: Value, before: Value): readonly Condition<Value>[] => [
  [condition],
  ['d.key >= ?', first],
  ['d.key < ?', before],
  [
    `NOT EXISTS (
      SELECT 1 FROM delivery AS later
      WHERE later.key > d.key AND later.key <= d.key / 1024 * 1024 + 1023 AND ${condition.replaceAll('d.', 'later.')}
    )`,
  ],
]

/** Past every key of an event. */
export const END_OF_KEYS = 2 ** 42

/** A range of time with at most this many events is looked up in the index of times, to bound the keys that are searched. */
export const MAX_RANGE_READ = 50_000
