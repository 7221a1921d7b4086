import type { OldEvents } from './retention-store.ts'

/** Whether old events are deleted now, by the store's clock. */
export interface RetentionState {
  /** Nothing is deleted, because the clock is doubted. */
  readonly isHeld: boolean
  readonly clockMs: number
  /** When the clock was last trusted. */
  readonly trustedAtMs: number
  /** For how many whole hours a doubted clock has run on steadily; undefined: it is trusted. */
  readonly steadyHours: number | undefined
}

export interface RetentionReport extends RetentionState {
  /** 0: for ever. */
  readonly retentionDays: number
  readonly deadRetentionDays: number
  /** Events past their retention by that clock. */
  readonly old: OldEvents
}

/** Retention as operators see it. */
export interface RetentionService {
  /** Reads the clock for it. */
  report(): Promise<RetentionReport>
  /**
   * Goes on although the clock is doubted. An operator vouches for the clock, which said `clockMs`: for all replicas, at once in
   * this process, in the others within five minutes. Rejects with `conflict` as `judgeClock` in `clock.ts` does.
   */
  resume(clockMs: number): Promise<RetentionState>
  /** That nothing is deleted, and what to do. Empty while retention runs, and in a process that does not run it. */
  warnings(): readonly string[]
}
