/** How far a walk over the oldest events has come. */
export interface PrunePosition {
  readonly receivedAtMs: number
  readonly key: number
}

/** By the store's clock. */
export interface OldBounds {
  /** Events received before this time are deleted. */
  readonly receivedBeforeMs: number
  /** An event with a dead delivery is deleted only if it was received before this time as well. */
  readonly deadReceivedBeforeMs: number
}

/** Events that retention would delete. */
export interface OldEvents {
  /** By the day of their receipt (UTC, `2026-11-23`), oldest first; `dead`: dead deliveries among them. */
  readonly days: readonly { readonly day: string; readonly events: number; readonly dead: number }[]
  /** There are more: not all events were looked at. */
  readonly more: boolean
}

export interface PruneRequest extends OldBounds {
  /** The most events that this step deletes. */
  readonly limit: number
  /** `next` of the step before; absent: from the oldest event on. */
  readonly from?: PrunePosition
}

export interface PruneStep {
  readonly events: number
  /** Dead deliveries that were deleted with them. */
  readonly dead: number
  /** Events dated by a clock that was behind, which now bear the time of the event before them. */
  readonly redated: number
  /** Where the next step starts; undefined: all events were looked at. */
  readonly next: PrunePosition | undefined
}

/** Events and tasks that are old enough to delete. */
export interface RetentionStore {
  /**
   * One step of a walk from the oldest event on: deletes events none of whose deliveries is pending or running. A step looks at
   * a bounded number of events, so it may delete none although there are more to come (`next`). A walk meets each event once.
   *
   * Events are numbered in the order in which they are stored. An event that seems old, but was stored after one that was
   * received over a day later, was dated by a clock that was behind. It is kept, and bears the other event's time from then on.
   */
  prune(request: PruneRequest): Promise<PruneStep>

  /**
   * Deletes tasks that ended before the time, at most `limit` of them. Resolves with their number. A task that began over a day
   * after its end was ended by a clock that was behind, and is kept.
   */
  pruneTasks(endedBeforeMs: number, limit: number): Promise<number>

  /** What `prune` would delete, of the `MAX_OLD_LOOKED_AT` oldest events. */
  countOld(bounds: OldBounds): Promise<OldEvents>

  /** The dead deliveries of events received before the time, of the `MAX_DEAD_LOOKED_AT` that died first. */
  countDead(receivedBeforeMs: number): Promise<number>
}

/** The events that `countOld` looks at. */
export const MAX_OLD_LOOKED_AT = 100_000
/** The dead deliveries that `countDead` looks at. */
export const MAX_DEAD_LOOKED_AT = 100_000
