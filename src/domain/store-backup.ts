export interface BackupRequest {
  /** The store, as DATABASE_URL names it. */
  readonly databaseUrl: string
  /** The file to write. */
  readonly file: string
  readonly onProgress: (progress: BackupProgress) => void
}

export interface BackupProgress {
  /** `verifying`: the finished copy is read back from its first row to its last. */
  readonly step: 'copying' | 'verifying'
  readonly unit: 'bytes' | 'rows'
  /** What is counted in `unit`, such as a table. */
  readonly what: string
  readonly done: number
  readonly total: number
}

/** A finished backup, as it was read back. */
export interface Backup {
  readonly file: string
  readonly bytes: number
  /** Table → number of rows. */
  readonly rows: Readonly<Record<string, number>>
  /** When the newest event in it was received; undefined: it has none. */
  readonly lastEventAtMs: number | undefined
  readonly durationMs: number
}

/** `stopped`: the operator stopped it, and nothing is left of it. */
export type BackupOutcome = { readonly outcome: 'done'; readonly backup: Backup } | { readonly outcome: 'stopped' }

/**
 * Writes a consistent copy of the store, while services use it or not, into a new file that an embedded store can be opened with. The
 * copy has every event that was acknowledged before the call, and maybe later ones. It gets its name only once it was read back whole
 * and is safe on disk. Rejects with `ConfigurationError` or `HoldfastError`; then nothing is left of it.
 */
export type MakeBackup = (request: BackupRequest) => Promise<BackupOutcome>
