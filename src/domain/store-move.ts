/** The tables that are moved from one store to another, in this order. */
export const MOVED_TABLES = [
  'event',
  'event_body',
  'delivery',
  'attempt',
  'event_repeat',
  'task',
  'task_question',
  'cause',
  'replay',
  'replay_mark',
  'drift',
  'audit',
  'pause',
] as const
export type MovedTable = (typeof MOVED_TABLES)[number]

export interface MoveRequest {
  /** Path of the embedded store. */
  readonly from: string
  /** URL of the database in PostgreSQL. */
  readonly to: string
  /** The name of the user who runs the command, for the audit. */
  readonly by?: string
  readonly onProgress: (progress: MoveProgress) => void
}

export interface MoveProgress {
  readonly step: 'moving' | 'verifying'
  readonly table: MovedTable
  /** Rows of this table that are done, including those of an earlier run. */
  readonly done: number
  readonly total: number
  /** This run continues an earlier one that stopped. */
  readonly resumed: boolean
}

/** A table in one of the stores. `checksum`: SHA-256 over its rows in order of key, each row in a form that both stores share. */
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
  /** `event_key`, by which duplicates are found, is not moved: the target makes it, and the move checks it too. */
  readonly table: MovedTable | 'event_key'
  /** The key of the first row that differs; of an attempt, its delivery's key and its ordinal. */
  readonly key: string
}

/**
 * `moved`: the target has all rows; the move has read them back, and they are equal. `stopped`: the operator stopped the move;
 * the same command continues it. `differs`: all rows were moved, but some are not equal; no service starts on the target until they
 * are.
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
