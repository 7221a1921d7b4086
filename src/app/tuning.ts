import type { Clock } from '../domain/clock.ts'
import type { OpenStoreOptions } from '../storage/open.ts'

/** `stats`: the numbers over time, and the watch over the sources. */
export const OPTIONAL_PARTS = ['stats', 'drift'] as const
export type OptionalPart = (typeof OPTIONAL_PARTS)[number]

/** Settings that no operator needs to change. */
export interface Tuning {
  readonly clock?: Clock
  readonly startStoreThread?: OpenStoreOptions['startThread']
  /** Timeouts of calls to providers. */
  readonly callTimeouts?: { readonly connectMs: number; readonly totalMs: number }
  /** How long an open circuit breaker blocks calls to a provider. */
  readonly breakerPauseMs?: number
  /** How often the sources are judged. */
  readonly monitorMs?: number
  /** Parts that are left out, so that a bench can tell what they cost. */
  readonly without?: ReadonlySet<OptionalPart>
}
