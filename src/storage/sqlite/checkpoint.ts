import type { DatabaseSync } from 'node:sqlite'

/** The write-ahead log is brought into the database when this much of it is not. */
const CHECKPOINT_BYTES = 16 * 1024 * 1024
const FRAME_HEADER_BYTES = 24

/** Brings the write-ahead log into the database between transactions. Its calls throw what SQLite throws. */
export interface Checkpointer {
  /** Does so when it is due; with less than `reserveBytes` of log left to bring over at any time. */
  ifDue(reserveBytes: number): void
  /** Does so now, and gives the log's space back. */
  truncate(): void
}

export function prepareCheckpointer(db: DatabaseSync): Checkpointer {
  const pageBytes = Number(db.prepare('PRAGMA page_size').get()?.page_size)
  // NOOP (SQLite 3.51) only tells how long the log is.
  const measure = db.prepare('PRAGMA wal_checkpoint(NOOP)')
  const passive = db.prepare('PRAGMA wal_checkpoint(PASSIVE)')
  const truncate = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)')
  return {
    ifDue(reserveBytes) {
      const state = measure.get()
      const frames = Number(state?.log) - Number(state?.checkpointed)
      if (frames * (pageBytes + FRAME_HEADER_BYTES) >= Math.min(CHECKPOINT_BYTES, reserveBytes)) passive.get()
    },
    truncate() {
      truncate.get()
    },
  }
}
