import type { EventFilter } from '../../src/domain/event-filter.ts'
import { compilePatterns } from '../../src/pipeline/type-routes.ts'
import { type ModelEvent, outcomeIn } from './model-delivery.ts'

/** The events of a filter, newest first; with most outcomes, those that arrived last first. */
export function eventsIn(events: readonly ModelEvent[], filter: EventFilter): readonly ModelEvent[] {
  const { source, type, status, outcome, origin, task, sinceMs, untilMs, q } = filter
  const matches = compilePatterns([type ?? '*'])
  const contains = (text: string | undefined) => text?.toLowerCase().includes((q ?? '').toLowerCase()) === true
  const isByArrival = outcome !== undefined && outcome !== 'succeeded' && outcome !== 'none'
  return events
    .toReversed()
    .toSorted((a, b) => (isByArrival ? 0 : b.given.receivedAtMs - a.given.receivedAtMs))
    .filter(({ given }) => source === undefined || given.source === source)
    .filter(({ given }) => matches(given.type))
    .filter((event) => status === undefined || event.status === status)
    .filter((event) => outcome === undefined || outcomeIn(event) === outcome)
    .filter(({ given }) => origin === undefined || given.origin === origin)
    .filter(({ given }) => task === undefined || given.task === task)
    .filter(({ given }) => sinceMs === undefined || given.receivedAtMs >= sinceMs)
    .filter(({ given }) => untilMs === undefined || given.receivedAtMs < untilMs)
    .filter(({ given: { id, uid, type, task } }) => q === undefined || [id, uid, type, task].some(contains))
}
