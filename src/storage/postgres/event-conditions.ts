import type { EventFilter } from '../../domain/event-filter.ts'
import { type Condition, likeContaining, likeMatching, optional } from '../shared/list-pages.ts'
import { hasOutcome } from '../shared/outcomes.ts'
import type { Value } from './connections.ts'
import { escapeText } from './escape-text.ts'

interface KindFilter {
  readonly source?: string | undefined
  readonly type?: string | undefined
}

/** The filter of events as conditions on rows of the table `event`. */

export const timeRange = ({ sinceMs, untilMs }: EventFilter): readonly Condition<Value>[] => [
  ...optional<Value>('received_at >= ?', sinceMs),
  ...optional<Value>('received_at < ?', untilMs),
]

export const kindConditions = ({ source, type }: KindFilter): readonly Condition<Value>[] => [
  ...optional<Value>('source = ?', source === undefined ? undefined : escapeText(source)),
  ...(type?.includes('*')
    ? optional<Value>('type LIKE ?', likeMatching(escapeText(type)))
    : optional<Value>('type = ?', type === undefined ? undefined : escapeText(type))),
]

export function checkedRowByRow({
  source,
  type,
  status,
  outcome,
  origin,
  task,
  q,
}: EventFilter): readonly Condition<Value>[] {
  const like = q === undefined ? undefined : likeContaining(escapeText(q))
  return [
    ...kindConditions({ source, type }),
    ...optional<Value>('task = ?', task === undefined ? undefined : escapeText(task)),
    ...optional<Value>('status = ?', status),
    ...optional<Value>('origin = ?', origin),
    ...hasOutcome(outcome),
    ...(like === undefined
      ? []
      : [['(id ILIKE ? OR uid::text ILIKE ? OR type ILIKE ? OR task ILIKE ?)', like, like, like, like] as const]),
  ]
}

/** All conditions of a filter on the columns of `event`, for rows that another index finds. */
export const eventConditions = (filter: EventFilter): readonly Condition<Value>[] => [
  ...timeRange(filter),
  ...checkedRowByRow(filter),
]
