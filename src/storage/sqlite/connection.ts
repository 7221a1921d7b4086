import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { messageOf } from '../../domain/errors.ts'
import { isCorruption, StoreRefused } from './errors.ts'

const WRITER_CACHE_KIB = 16 * 1024
const READER_CACHE_KIB = 4 * 1024
/** The write-ahead log is cut back to this when it starts over. */
const JOURNAL_SIZE_LIMIT_BYTES = 32 * 1024 * 1024
/** The value that `PRAGMA synchronous` gives for FULL: an fsync at each commit. */
const SYNCHRONOUS_FULL = 2

/** Opens the one connection that writes. Throws `StoreRefused` if the file is damaged, or if commits would not be durable. */
export function openForWriting(path: string): DatabaseSync {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(path, { timeout: 5_000, enableForeignKeyConstraints: false })
    db.exec(`
      PRAGMA page_size = 8192;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = 0;
      PRAGMA journal_size_limit = ${JOURNAL_SIZE_LIMIT_BYTES};
      PRAGMA cache_size = -${WRITER_CACHE_KIB};
      PRAGMA temp_store = MEMORY;
    `)
    if (process.platform === 'darwin') db.exec('PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1')
    const mode = String(db.prepare('PRAGMA journal_mode').get()?.journal_mode)
    const synchronous = Number(db.prepare('PRAGMA synchronous').get()?.synchronous)
    if (mode !== 'wal' || synchronous < SYNCHRONOUS_FULL) {
      throw new StoreRefused(
        `The database ${path} cannot be made durable here (journal ${mode}, synchronous ${synchronous}).`,
      )
    }
    return db
  } catch (error) {
    db?.close()
    throw refusal(path, error)
  }
}

export function openForReading(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: 5_000, readOnly: true })
  db.exec(`PRAGMA cache_size = -${READER_CACHE_KIB}; PRAGMA temp_store = MEMORY; PRAGMA query_only = 1`)
  return db
}

/**
 * A second connection that writes, but only pages that the first one has committed to the log. It does not create a missing
 * file: SQLite would take the log beside an empty database for a leftover, and delete it.
 */
export function openForCheckpoints(path: string): DatabaseSync {
  const existing = pathToFileURL(path)
  existing.searchParams.set('mode', 'rw')
  const db = new DatabaseSync(existing, { timeout: 5_000 })
  db.exec('PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0')
  if (process.platform === 'darwin') db.exec('PRAGMA checkpoint_fullfsync = 1')
  return db
}

/** The error for an operator whose database does not open. */
export function refusal(path: string, error: unknown): StoreRefused {
  if (error instanceof StoreRefused) return error
  return isCorruption(error)
    ? new StoreRefused(`The database ${path} is damaged or not a database: restore it from a backup, or move it away.`)
    : new StoreRefused(`The database ${path} cannot be opened: ${messageOf(error)}`)
}
