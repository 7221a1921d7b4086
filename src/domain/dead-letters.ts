import type { AttemptCause, Cause } from './cause.ts'
import type { DeliverySummary } from './delivery.ts'
import type { ErrorDetail } from './errors.ts'
import type { EventFilter } from './event-filter.ts'

/** Which dead deliveries are meant. A field that is absent does not filter; `sinceMs` and `untilMs` are of the event's receipt. */
export interface DeadFilter
  extends Pick<EventFilter, 'source' | 'type' | 'status' | 'origin' | 'task' | 'sinceMs' | 'untilMs' | 'q'> {
  readonly handler?: string
  /** The id of a cause. */
  readonly cause?: string
}

/** How far a walk over dead deliveries has come: they come in order of their death, with `cause` cause by cause. */
export interface DeadPosition {
  readonly diedAtMs: number
  readonly key: number
  readonly causeKey?: number
}

export interface DiscardRequest {
  readonly filter: DeadFilter
  /** The most deliveries that this step discards. */
  readonly limit: number
  /** `next` of the step before; absent: the walk begins. */
  readonly from?: DeadPosition
}

export interface DiscardStep {
  readonly discarded: number
  /** Where the next step starts; undefined: all deliveries were looked at. */
  readonly next: DeadPosition | undefined
}

export interface DeadMatches {
  readonly count: number
  /** There may be more: not all dead deliveries were looked at. */
  readonly more: boolean
  /** Some of them. */
  readonly sample: readonly DeliverySummary[]
}

/** Which causes are meant. `sinceMs` and `untilMs` are of the deaths. */
export interface DeadCauseFilter {
  readonly handler?: string
  readonly source?: string
  /** The id of a cause. */
  readonly cause?: string
  readonly sinceMs?: number
  readonly untilMs?: number
}

/** The dead deliveries of one handler and source that have one cause. */
export interface DeadCause extends AttemptCause {
  readonly count: number
  /** There are more than `MAX_COUNTED`. */
  readonly isCapped: boolean
  readonly firstAtMs: number
  readonly lastAtMs: number
  /** Deaths in each of the last `HOURS_SHOWN` hours, the last one last; at most `MAX_COUNTED` each. */
  readonly hourly: readonly number[]
}

export interface DeadCauses {
  /** Most deaths first; those that stand for many errors last. */
  readonly causes: readonly DeadCause[]
  /** Dead deliveries whose causes are not found out yet, up to `MAX_COUNTED`; none if the filter names handler, source or cause. */
  readonly unnamed: number
}

/** Reads causes; the answer may be some seconds old. */
export type ReadDeadCauses = (filter: DeadCauseFilter) => Promise<DeadCauses>

export interface NameCauses {
  readonly causeOf: (error: string, detail: ErrorDetail | undefined) => Cause
  /** The most deliveries that this step looks at. */
  readonly limit: number
  /** `next` of the step before; absent: from the last to die on. */
  readonly from?: DeadPosition
}

export interface NamedCauses {
  readonly named: number
  /** Where the next step starts; undefined: all deliveries were looked at. */
  readonly next: DeadPosition | undefined
}

/** Deliveries that no attempt is left for. */
export interface DeadLetters {
  /**
   * One step of a walk over the dead deliveries: makes those that match `discarded`, and looks at a bounded number, so it may discard
   * none although there are more to come. Each is discarded only while it is dead, so the same step twice has no further effect. Rejects
   * with `invalid_request` if the filter breaks its bounds.
   */
  discard(request: DiscardRequest): Promise<DiscardStep>

  /**
   * Discards the dead deliveries of one event, or its one to this handler, and resolves with their handlers. Rejects with
   * `event_not_found`, or with `handler_not_found` if the event has no delivery to the handler.
   */
  discardOf(eventUid: string, handler?: string): Promise<readonly string[]>

  /** What `discard` would discard, of the `most` (`MAX_MATCHED` at most) dead deliveries that died first. */
  matchDead(filter: DeadFilter, sampleSize: number, most?: number): Promise<DeadMatches>

  /** The dead deliveries by cause. */
  deadCauses(filter: DeadCauseFilter): Promise<DeadCauses>

  /**
   * One step of a walk over the dead deliveries that have no cause yet: those whose death the store decided, or a release that knew no
   * causes. Each gets the cause of its last error.
   */
  nameCauses(request: NameCauses): Promise<NamedCauses>

  /** Forgets causes that were last seen before the time and have no dead delivery. Resolves with their number. */
  pruneCauses(seenBeforeMs: number): Promise<number>
}

/** The dead deliveries that are counted of each cause. */
export const MAX_COUNTED = 100_000
export const HOURS_SHOWN = 24

/** The dead deliveries that one step of a walk looks at. */
export const MAX_DEAD_WALKED = 2_000
/** The dead deliveries that `matchDead` looks at, unless it is asked to look at fewer. */
export const MAX_MATCHED = 100_000
