/** The tables that a move carries over, in the order in which they are copied. */
export const MOVED_TABLES = ['event', 'event_body', 'delivery', 'attempt', 'task'] as const
export type MovedTable = (typeof MOVED_TABLES)[number]

/** Where a move stands: `resuming` is told once, by a move that goes on, before anything else. */
export interface MoveProgress {
  readonly phase: 'resuming' | 'copying' | 'verifying'
  readonly table: MovedTable
  /** Rows. */
  readonly done: number
  readonly total: number
}

export interface MoveRequest {
  /** As DATABASE_URL: the embedded store. */
  readonly from: string
  /** As DATABASE_URL: PostgreSQL. */
  readonly to: string
  /** Empties the target first, if what it holds is that of an unfinished move. */
  readonly restart: boolean
  /** Stops it after the batch that is under way. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: MoveProgress) => void
}

/** One table, read from both stores after it was copied. */
export interface ComparedTable {
  readonly table: MovedTable
  /** In the embedded store. */
  readonly rows: number
  /** Lower-case hex SHA-256 over all rows of the embedded store, in order of key, in a form that is the same for both stores. */
  readonly checksum: string
  readonly equal: boolean
  /** Key of the first row that is not the same, or is in one store only. */
  readonly firstDifference?: string
}

export type MoveOutcome =
  /** The signal came. The same move again goes on. */
  | { readonly kind: 'stopped' }
  /** `different`: the move is unfinished, and no service starts on the target. */
  | {
      readonly kind: 'moved' | 'different'
      readonly tables: readonly ComparedTable[]
      /** Bodies that were moved as they are although they do not match their checksums, in the embedded store either. */
      readonly corruptBodies: number
    }

/**
 * Moves everything from an embedded store into PostgreSQL, and compares both afterwards. The embedded store is locked
 * meanwhile, and left as it is. Rejects with `ConfigurationError`, nothing moved, where the embedded store is in use or not
 * there, or the target cannot be used or holds anything that is not of an unfinished move of this very store. Whenever it
 * ends early, by SIGKILL too, the same move again goes on where it was.
 */
export type MoveStore = (request: MoveRequest) => Promise<MoveOutcome>
