import type { SQLInputValue } from 'node:sqlite'
import type { EventFilter } from '../../domain/event-filter.ts'
import { likeContaining, optional } from '../shared/list-pages.ts'
import { hasOutcome } from '../shared/outcomes.ts'
import type { SqlCondition } from './statement-cache.ts'

/** The filter of events as conditions on rows of the table `event`. */

export const timeRange = ({ sinceMs, untilMs }: EventFilter): readonly SqlCondition[] => [
  ...optional<SQLInputValue>('received_at >= ?', sinceMs),
  ...optional<SQLInputValue>('received_at < ?', untilMs),
]

export function checkedRowByRow({ status, outcome, origin, task, q }: EventFilter): readonly SqlCondition[] {
  const like = q === undefined ? undefined : likeContaining(q)
  return [
    ...optional<SQLInputValue>('task = ?', task),
    ...optional<SQLInputValue>('status = ?', status),
    ...optional<SQLInputValue>('origin = ?', origin),
    ...hasOutcome(outcome),
    ...(like === undefined
      ? []
      : [
          [
            `(${['id', 'uid', 'type', 'task'].map((c) => `${c} LIKE ? ESCAPE '\\'`).join(' OR ')})`,
            like,
            like,
            like,
            like,
          ] as const,
        ]),
  ]
}

/**
 * Conditions that are used if there are too many pairs to look up one by one, or if the index of tasks is better. The other
 * special characters of GLOB are escaped.
 */
export const kindConditions = ({ source, type }: EventFilter): readonly SqlCondition[] => [
  ...optional<SQLInputValue>('source = ?', source),
  ...(type?.includes('*')
    ? optional<SQLInputValue>('type GLOB ?', type.replace(/[[?]/g, '[$&]').replace(/\*+/g, '*'))
    : optional<SQLInputValue>('type = ?', type)),
]

/** All conditions of a filter on the columns of `event`, for rows that another index finds. */
export const eventConditions = (filter: EventFilter): readonly SqlCondition[] => [
  ...timeRange(filter),
  ...checkedRowByRow(filter),
  ...kindConditions(filter),
]
