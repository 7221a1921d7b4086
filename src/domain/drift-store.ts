import type { Page, PageRequest } from './page.ts'

/** How a path in the payloads of one source and type has changed. */
export const DRIFT_CHANGES = ['new', 'vanished', 'changed'] as const
export type DriftChange = (typeof DRIFT_CHANGES)[number]

/** One change of a shape. It names paths and kinds of values, never a value. */
export interface DriftEntry {
  readonly source: string
  readonly type: string
  /** Dotted names; `[]` stands for all elements of an array, `*` for all keys of an object that is used as a map. */
  readonly path: string
  readonly what: DriftChange
  /** The kinds of values before: `string`, or several as `number|string`. Absent: the path is new. */
  readonly from?: string
  /** The kinds of values now. Absent: the path has vanished. */
  readonly to?: string
  /** When the event was received that showed the change beyond doubt. */
  readonly atMs: number
  /** The uid of that event. */
  readonly event: string
}

export interface DriftFilter {
  readonly source?: string
  /** May be a pattern: `*` stands for anything. */
  readonly type?: string
  /** `since` is inclusive, `until` exclusive. */
  readonly sinceMs?: number
  readonly untilMs?: number
}

/** The shape of the payloads of one source and type, as `monitoring/shape.ts` writes it. */
export interface StoredShape {
  /** Rises with each save. */
  readonly version: number
  readonly shape: string
}

export interface ShapeSave {
  readonly source: string
  readonly type: string
  /** The version that the caller has read; 0: there was none. */
  readonly version: number
  /** At most `MAX_SHAPE_CHARACTERS`. */
  readonly shape: string
  readonly savedAtMs: number
  readonly entries: readonly DriftEntry[]
}

/** The shapes of payloads, and their changes. */
export interface DriftStore {
  readShape(source: string, type: string): Promise<StoredShape | undefined>

  /**
   * Writes a shape under the next version, and adds its entries, both or neither. Resolves with false, and changes nothing, if
   * another process has saved the shape since the version that the caller has read. Durable as a settlement.
   */
  saveShape(save: ShapeSave): Promise<boolean>

  /** The newest first, by the time of their event. */
  driftEntries(filter: DriftFilter, page: PageRequest): Promise<Page<DriftEntry>>

  /**
   * Deletes entries older than the time and all but the newest `MAX_DRIFT_ENTRIES`, and shapes that were saved last before
   * `shapesBeforeMs`.
   */
  pruneDrift(entriesBeforeMs: number, shapesBeforeMs: number): Promise<number>
}

export const MAX_SHAPE_CHARACTERS = 131_072
export const MAX_DRIFT_ENTRIES = 10_000
