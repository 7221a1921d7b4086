import { MAX_TOLERANCE_MS } from '../../domain/clock.ts'
import type { PrunePosition } from '../../domain/retention-store.ts'

/** How many events one step of the walk over old events reads; reading alone writes nothing. */
export const MAX_OLD_READ = 4_096

/** Where a walk over old events starts. */
export const FROM_OLDEST: PrunePosition = { receivedAtMs: Number.MIN_SAFE_INTEGER, key: 0 }

/** An event that was received at this time or later is young. An event that was stored after a young event cannot be old. */
export const youngMs = (receivedBeforeMs: number): number => receivedBeforeMs + MAX_TOLERANCE_MS

/** An event that was received before the bound. */
export type OldRow = Readonly<{
  key: number
  received_at: number
  /** A delivery of the event still needs it. */
  is_needed: boolean | number
  /** The event was stored after a young event, and only seems old: its time of receipt is wrong. */
  is_misdated: boolean | number
}>

export interface PrunePlan {
  /** Keys of events that can go. */
  readonly old: readonly number[]
  /** Keys of events whose time of receipt is to be corrected. */
  readonly misdated: readonly number[]
  /** Where the next step starts; undefined after the last one. */
  readonly next: PrunePosition | undefined
}

/** What a step does with the rows that it has read. At most `limit` events may go. */
export function planPrune(rows: readonly OldRow[], limit: number): PrunePlan {
  const old = rows.filter(({ is_needed, is_misdated }) => !is_needed && !is_misdated).slice(0, limit)
  const isCutShort = old.length === limit
  const last = isCutShort ? old.at(-1) : rows.length < MAX_OLD_READ ? undefined : rows.at(-1)
  return {
    old: old.map(({ key }) => key),
    misdated: rows.filter(({ is_misdated }) => is_misdated).map(({ key }) => key),
    next: last && { receivedAtMs: last.received_at, key: last.key },
  }
}
