/** The tables that are moved from one store to another, in this order. */
export const MOVED_TABLES = ['event', 'event_body', 'delivery', 'attempt', 'task'] as const
export type MovedTable = (typeof MOVED_TABLES)[number]

export interface MoveRequest {
  /** Path of the embedded store. */
  readonly from: string
  /** URL of the database in PostgreSQL. */
  readonly to: string
  readonly onProgress: (progress: MoveProgress) => void
}

export interface MoveProgress {
  readonly step: 'moving' | 'verifying'
  readonly table: MovedTable
  /** Rows of this table that are done, those of an earlier run among them. */
  readonly done: number
  readonly total: number
  /** This run goes on where an earlier one stopped. */
  readonly resumed: boolean
}

/** One side of a table: SHA-256 over its rows in order of key, each in the same form on both sides. */
export interface TableSum {
  readonly rows: number
  readonly checksum: string
}

export interface TableComparison {
  readonly table: MovedTable
  readonly source: TableSum
  readonly target: TableSum
  readonly equal: boolean
}

export interface MoveDifference {
  /** `event_key`, by which duplicates are found, is not moved but made anew, and checked too. */
  readonly table: MovedTable | 'event_key'
  /** The first that differs; of an attempt, its delivery's key and its ordinal. */
  readonly key: string
}

/**
 * `moved`: all is in the target, was read back, and is equal. `stopped`: it was told to stop, and goes on when it is run
 * again. `differs`: it was moved and is not equal; the target is not used until it is.
 */
export type MoveOutcome =
  | { readonly outcome: 'moved'; readonly resumed: boolean; readonly tables: readonly TableComparison[] }
  | { readonly outcome: 'stopped'; readonly at: MoveProgress | undefined }
  | {
      readonly outcome: 'differs'
      readonly resumed: boolean
      readonly tables: readonly TableComparison[]
      readonly difference: MoveDifference
    }

/** Rejects with `ConfigurationError` or `HoldfastError` if the move cannot begin or go on. */
export type Move = (request: MoveRequest) => Promise<MoveOutcome>
