import type { DeliverySummary } from './delivery.ts'
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

  /** What `discard` would discard, of the `MAX_MATCHED` dead deliveries that died first. */
  matchDead(filter: DeadFilter, sampleSize: number): Promise<DeadMatches>
}

/** The dead deliveries that one step of a walk looks at. */
export const MAX_DEAD_WALKED = 2_000
/** The dead deliveries that `matchDead` looks at. */
export const MAX_MATCHED = 100_000
