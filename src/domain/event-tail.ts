import type { EventSummary } from './event.ts'

/** An event, and the position right after it. */
export interface TailedEvent {
  readonly position: number
  readonly event: EventSummary
}

export interface TailPage {
  readonly events: readonly TailedEvent[]
  /** Where the next read starts. Every event up to here was in this page or in one before it, or is deleted. */
  readonly position: number
}

/**
 * The events in the order in which they were stored, for those who follow them. A position is a number that rises with this order; it
 * stays valid when the process starts again, and in every process that shares the database.
 */
export interface EventTail {
  /** The position after every event whose append has resolved. */
  tailEnd(): Promise<number>

  /**
   * A position before every event that was received at or after this time, and not far before the first of them. If there is no such
   * event, as `tailEnd`.
   */
  tailSince(sinceMs: number): Promise<number>

  /**
   * The events after a position, at most `limit` of them. Walking from page to page meets each stored event exactly once, also if
   * transactions commit in another order than they began: an event is held back until none before it can appear any more. With
   * PostgreSQL, a transaction that stays open holds back events for `MAX_HELD_BACK_MS` at most.
   */
  tail(after: number, limit: number): Promise<TailPage>
}

/** Appends and their commits are limited to less time; only a session that another program has left open holds back events longer. */
export const MAX_HELD_BACK_MS = 30_000
/** How much earlier another replica may have stored an event that seems to be received later: the clocks of replicas differ. */
export const MAX_TAIL_SKEW_MS = 10_000
