import type { Clock } from '../../domain/clock.ts'
import type { Counts } from '../../domain/store.ts'

export interface MetricsOptions {
  /** Names of the configured sources. */
  readonly sources: readonly string[]
  /** Those that there are now. */
  readonly handlers: () => readonly { readonly name: string; readonly types: readonly string[] }[]
  readonly counts: () => Promise<Counts>
  /** What is damaged in the store. */
  readonly storeWarnings?: () => readonly string[]
  /** By how much this process's clock is ahead, where it is held for off; 0: it is not. */
  readonly clockOffSeconds?: () => number
  /** Log lines dropped since the start. */
  readonly droppedLogLines: () => number
  /** What retention is at, where this process is who does it. */
  readonly upkeep?: () => { readonly isHeld: boolean; readonly deadExpiring: number | undefined } | undefined
  readonly clock?: Clock
}
