import type { OldBounds, OldEvents, PruneStep, RetentionStore } from '../domain/retention-store.ts'

const DAY_MS = 86_400_000
/** Events or tasks forgotten in one step, and the pause after it: acknowledgements never wait for more than one such step. */
const STEP_EVENTS = 200
const PAUSE_MS = 50
const NEVER_MS = Number.MIN_SAFE_INTEGER

export interface RetentionTimes {
  /** 0: for ever. */
  readonly retentionDays: number
  /** Of events with a dead delivery; no less than `retentionDays`. 0: for ever. */
  readonly deadRetentionDays: number
}

/** `nowMs`: a time of the store's clock. */
type RetentionAt = RetentionTimes & { readonly nowMs: number }

const boundsOf = ({ retentionDays, deadRetentionDays, nowMs }: RetentionAt): OldBounds => ({
  receivedBeforeMs: nowMs - retentionDays * DAY_MS,
  deadReceivedBeforeMs: deadRetentionDays === 0 ? NEVER_MS : nowMs - deadRetentionDays * DAY_MS,
})

export interface Pruned {
  readonly events: number
  /** Dead deliveries among them. */
  readonly dead: number
  /** Events that only seemed old. */
  readonly redated: number
}

/**
 * Forgets everything past its retention at `nowMs`, a time of the store's clock, step by step: one walk over what is old, which
 * passes over what cannot go yet. Ends early once `signal` is aborted.
 */
export async function pruneOnce(store: RetentionStore, times: RetentionAt, signal: AbortSignal): Promise<Pruned> {
  if (times.retentionDays === 0) return { events: 0, dead: 0, redated: 0 }
  const bounds = boundsOf(times)
  const pruned = { events: 0, dead: 0, redated: 0 }
  for (
    let from: PruneStep['next'], isFirst = true;
    (isFirst || from !== undefined) && !signal.aborted;
    isFirst = false
  ) {
    const given = { ...bounds, limit: STEP_EVENTS, ...(from !== undefined && { from }) }
    const { events, dead, redated, next } = await store.prune(given)
    pruned.events += events
    pruned.dead += dead
    pruned.redated += redated
    from = next
    if (from !== undefined) await pause()
  }
  while (!signal.aborted && (await store.pruneTasks(bounds.receivedBeforeMs, STEP_EVENTS)) === STEP_EVENTS)
    await pause()
  return pruned
}

/** What would be forgotten at this time, as far as it is counted. */
export async function countOld(store: RetentionStore, times: RetentionAt): Promise<OldEvents> {
  return times.retentionDays === 0 ? { days: [], more: false } : store.countOld(boundsOf(times))
}

/** How many dead deliveries will have been forgotten a day after `nowMs`. */
export async function countExpiring(
  store: RetentionStore,
  { deadRetentionDays, nowMs }: Pick<RetentionAt, 'deadRetentionDays' | 'nowMs'>,
): Promise<number> {
  return deadRetentionDays === 0 ? 0 : store.countDead(nowMs + DAY_MS - deadRetentionDays * DAY_MS)
}

export const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
