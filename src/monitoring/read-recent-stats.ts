import { type Clock, HOUR_MS } from '../domain/clock.ts'
import type { StatStore } from '../domain/stat-store.ts'
import type { ReadRecentStats } from '../domain/stats.ts'
import type { Numbers } from './numbers.ts'
import { beginningOf, periodOf, readSteps, reportOf } from './read-stats.ts'

/** A step that ended longer ago than this has all its numbers: processes hand them in within seconds. */
const OPEN_MS = 120_000
/** How often all steps are read again: while the store was away, a process has kept its numbers for longer. */
const WHOLE_MS = 600_000

interface Read {
  readonly steps: Map<number, Numbers>
  readonly atMs: number
  readonly wholeAtMs: number
}

/**
 * Reads the same periods again and again, for pages that are open: of each, only the steps that may have changed. Callers ask for a
 * few periods only.
 */
export function createReadRecentStats(store: Pick<StatStore, 'statRows'>, clock: Clock): ReadRecentStats {
  const known = new Map<string, Read>()
  return async ({ hours, stepSeconds }) => {
    const key = `${hours} ${stepSeconds}`
    const nowMs = clock()
    const sinceMs = nowMs - hours * HOUR_MS + stepSeconds * 1_000
    const period = periodOf({ sinceMs, stepSeconds }, nowMs)
    const before = known.get(key)
    const isKept = before !== undefined && nowMs >= before.atMs && nowMs < before.wholeAtMs + WHOLE_MS
    const fromMs = isKept ? Math.max(period.sinceMs, beginningOf(before.atMs - OPEN_MS, period.stepMs)) : period.sinceMs
    const fresh = await readSteps(store, { ...period, sinceMs: fromMs })
    const kept = isKept ? [...before.steps].filter(([atMs]) => atMs >= period.sinceMs && atMs < fromMs) : []
    const steps = new Map([...kept, ...fresh])
    known.set(key, { steps, atMs: nowMs, wholeAtMs: isKept ? before.wholeAtMs : nowMs })
    return reportOf(period, steps)
  }
}
