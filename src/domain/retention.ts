import type { OldEvents } from './retention-store.ts'

/** Whether old events are deleted now, by the store's clock. */
export interface RetentionState {
  /** Nothing is deleted, because the clock is doubted. */
  readonly isHeld: boolean
  readonly clockMs: number
  /** When the clock was last trusted. */
  readonly trustedAtMs: number
  /** For how many whole hours a doubted clock has run steadily; undefined: the clock is trusted. */
  readonly steadyHours: number | undefined
}

/** For how many days events are kept. 0: for ever. */
export interface RetentionPeriods {
  readonly retentionDays: number
  /** Of events with a dead delivery; at least `retentionDays`. */
  readonly deadRetentionDays: number
}

export interface RetentionReport extends RetentionState, RetentionPeriods {
  /** Events past their retention by that clock. */
  readonly old: OldEvents
}

/** Retention as operators see it. */
export interface RetentionService {
  /** As they are configured now. */
  periods(): RetentionPeriods
  /** Judges the store's clock first. */
  report(): Promise<RetentionReport>
  /**
   * Ends the hold, because an operator confirms that the clock is right. `clockMs`: the clock's time that the operator saw. Old
   * events are deleted again: by this process at once, by other replicas within five minutes. Rejects with `conflict` as
   * `judgeClock` in `clock.ts` does.
   */
  resume(clockMs: number): Promise<RetentionState>
  /** While nothing is deleted: says so, and what the operator can do. Empty otherwise, and in a process without retention. */
  warnings(): readonly string[]
}
