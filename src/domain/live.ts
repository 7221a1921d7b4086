import type { EventSummary } from './event.ts'
import type { EventFilter } from './event-filter.ts'

/** With `outcome`, an event is given as soon as it has that outcome; else as it is stored. */
export type LiveFilter = Omit<EventFilter, 'untilMs'>

export interface LiveRequest {
  /** With `sinceMs`: begins with the events received since then, unless `after` is given. */
  readonly filter: LiveFilter
  /** Begins after this position: `LiveReader.position` of an earlier reader. Absent: begins with the next event. */
  readonly after?: number
}

/** Why a stream of events ends: the service stops, or the reader is too slow. */
export type LiveEnd = 'stopping' | 'slow'

/** The new events that match the filter; none if nothing came in time. */
export type LiveBatch = { readonly events: readonly LiveEvent[] } | { readonly end: LiveEnd }

export interface LiveEvent {
  /** A reader that begins here gets all that comes after this event. */
  readonly position: number
  readonly event: EventSummary
}

export interface LiveReader {
  /** After all events that `next` has given, and those before them that do not match the filter. */
  readonly position: () => number
  /** Resolves as soon as there are events, or after the time, or when `signal` is aborted. One call at a time. */
  next(maxWaitMs: number, signal: AbortSignal): Promise<LiveBatch>
  close(): void
}

/** Events as they are stored, for many readers at once. */
export interface LiveEvents {
  /** Resolves once the reader will get every later event. Rejects with `too_many_readers` beyond `MAX_LIVE_READERS`. */
  open(request: LiveRequest): Promise<LiveReader>
  /** The position after the last event that is stored, for those who only want to know whether there are others. */
  end(): Promise<number>
  /** Aborted when the service stops. */
  readonly stopping: AbortSignal
}

/** Readers of one process. */
export const MAX_LIVE_READERS = 64
