import type { DeadCause } from '../domain/dead-letters.ts'
import type { DriftEntry } from '../domain/drift-store.ts'
import type { Waiting } from '../domain/event-facets.ts'
import type { Pause } from '../domain/pause.ts'
import type { Problem } from '../domain/problem.ts'
import type { LastReload } from '../domain/reload.ts'
import type { SourceState } from '../domain/source.ts'
import type { SourceHealth } from '../domain/source-health.ts'
import type { Counts, StoreSize } from '../domain/store-health.ts'
import type { ExpiredTasks } from './expired-tasks.ts'
import type { FailingHandler } from './handler-problems.ts'
import type { Numbers } from './numbers.ts'

/** How many hours the numbers in problems cover: events not understood, tasks expired, requests refused, shapes changed. */
export const RECENT_HOURS = 24

/** What the parts of the service say at one moment, from which the checks find problems. What could not be read is undefined, or missing. */
export interface Observed {
  readonly nowMs: number
  readonly storeFaults: readonly string[]
  readonly storeWarnings: readonly string[]
  readonly routeFaults: readonly string[]
  readonly retentionWarnings: readonly string[]
  /** How far the clock of this process is ahead, while it counts as off; else 0. */
  readonly clockOffSeconds: number
  readonly lastReload: LastReload
  readonly pauses: readonly Pause[]
  readonly isDraining: boolean
  readonly counts: Counts | undefined
  readonly size: StoreSize | undefined
  /** Most deaths first. */
  readonly deadCauses: readonly DeadCause[]
  readonly sources: ReadonlyMap<string, SourceState>
  readonly health: ReadonlyMap<string, SourceHealth>
  /** Numbers of the last `RECENT_HOURS`, by source. */
  readonly recent: ReadonlyMap<string, Numbers>
  /** Of these hours, the events that are not understood, by source. */
  readonly quarantined: ReadonlyMap<string, number>
  /** Of these hours, the tasks that expired, by source. */
  readonly expired: ReadonlyMap<string, ExpiredTasks>
  /** Those that fail, mostly. */
  readonly failing: readonly FailingHandler[]
  /** What waits, of the handlers that are paused, and of the others if there is a backlog. */
  readonly waiting: ReadonlyMap<string, Waiting>
  /** Handlers that no running worker has. */
  readonly missingHandlers: readonly string[]
  /** Changes of the last `RECENT_HOURS`, the newest first. */
  readonly drift: readonly DriftEntry[]
}

/** One way in which the service may need a hand. */
export type Check = (observed: Observed) => readonly Problem[]

export const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`
export const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)
