import type { OldEvents } from './upkeep.ts'

/** Whether old events are forgotten now. Times are RFC 3339, by the store's clock. */
export interface RetentionState {
  /** Nothing is forgotten: the clock is doubted. */
  readonly held: boolean
  readonly clock: string
  /** When the clock was last trusted. */
  readonly last_known: string
  /** For how many whole hours the clock has run on steadily since it is doubted; null: it is trusted. */
  readonly steady_hours: number | null
}

export interface RetentionReport extends RetentionState {
  /** 0: for ever. */
  readonly retention_days: number
  readonly retention_dead_days: number
  /** What is past its retention by that clock. */
  readonly old: OldEvents
}

/** Retention as operators see it. */
export interface RetentionDesk {
  /** Looks at the clock for it. */
  report(): Promise<RetentionReport>
  /**
   * Goes on though the clock is doubted, which an operator vouches for, and which said `clockMs` (ms since the epoch): for all
   * replicas, at once here, in the others within five minutes. Rejects with `conflict` as `judgeClock` in `clock-record.ts` does.
   */
  resume(clockMs: number): Promise<RetentionState>
  /** That nothing is forgotten, and what to do; none while that is not so, or not this process's to do. */
  warnings(): readonly string[]
}
