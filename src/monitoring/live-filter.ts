import type { EventSummary } from '../domain/event.ts'
import { checkEventFilter } from '../domain/event-filter.ts'
import type { LiveFilter } from '../domain/live.ts'
import { compilePatterns } from '../pipeline/type-routes.ts'

/**
 * Whether an event matches a filter by what it is stored with, as the lists of the stores decide it; `outcome`, `contains` and `match` are for
 * `live-search.ts`. Throws `invalid_request` as `checkEventFilter` does.
 */
export function matcherOf(filter: LiveFilter): (event: EventSummary) => boolean {
  checkEventFilter(filter)
  const { source, type, status, origin, task, q, sinceMs } = filter
  const isOfType = type === undefined ? undefined : type.includes('*') ? compilePatterns([type]) : undefined
  const text = q?.toLowerCase()
  return (event) =>
    (source === undefined || event.source === source) &&
    (type === undefined || (isOfType === undefined ? event.type === type : isOfType(event.type))) &&
    (status === undefined || event.status === status) &&
    (origin === undefined || event.origin === origin) &&
    (task === undefined || event.task === task) &&
    (sinceMs === undefined || event.receivedAtMs >= sinceMs) &&
    (text === undefined ||
      [event.id, event.uid, event.type, event.task].some((field) => field?.toLowerCase().includes(text) === true))
}
