import { realpathSync, statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ConfigurationError } from '../../domain/errors.ts'
import { refusedFileSystem, refuseOtherNames } from './database-directory.ts'
import { isCorruption, StoreRefused } from './errors.ts'
import { APPLICATION_ID, SCHEMA_VERSION } from './migrate.ts'
import { syncedKey } from './wal-sync.ts'

/** A store that is about to be copied. */
export interface SnapshotSource {
  readonly path: string
  /** About how large the copy will be. */
  readonly bytes: number
  /** Every event up to this key was acknowledged before. */
  readonly acknowledgedKey: number
}

/** How long a statement waits while another process opens the database. */
const BUSY_TIMEOUT_MS = 10_000

/**
 * Checks that the database can be copied while another process has it open. Writes nothing, and takes no lock that the other process
 * could notice. Throws `ConfigurationError`.
 */
export function openSnapshotSource(configuredPath: string): SnapshotSource {
  try {
    if (statSync(configuredPath, { throwIfNoEntry: false })?.isFile() !== true)
      throw new StoreRefused(`There is no database ${configuredPath}.`)
    // SQLite finds the log, with the newest events, by this path.
    const path = realpathSync(configuredPath)
    refuseOtherNames(path)
    const name = refusedFileSystem(statfsSync(dirname(path)).type)
    if (name !== undefined)
      throw new StoreRefused(
        `The database ${path} is on ${name}, where its log cannot be read safely: make the backup on the machine that has the disk.`,
      )
    // Read first: the snapshot is later, and so must have at least these events.
    const acknowledgedKey = syncedKey(path)
    return { path, bytes: measured(path), acknowledgedKey }
  } catch (error) {
    throw error instanceof StoreRefused ? new ConfigurationError([error.message]) : error
  }
}

function measured(path: string): number {
  return withDatabase(path, (db) => {
    const pragma = (name: string): number => Number(db.prepare(`PRAGMA ${name}`).get()?.[name])
    const version = pragma('user_version')
    if (pragma('application_id') !== APPLICATION_ID || version === 0)
      throw new StoreRefused(`${path} is not a database of Holdfast.`)
    if (version > SCHEMA_VERSION)
      throw new StoreRefused(
        `The database ${path} has schema version ${version}, newer than the ${SCHEMA_VERSION} that this Holdfast knows: run the newer Holdfast.`,
      )
    return (pragma('page_count') - pragma('freelist_count')) * pragma('page_size')
  })
}

/**
 * Copies the database as it is at one moment into an empty file, and returns once all of it is written. Commits of other processes go
 * on; their log grows meanwhile, since the moment is kept.
 */
export function writeSnapshot(path: string, copy: string): void {
  withDatabase(path, (db) => db.prepare('VACUUM INTO ?').run(copy))
}

function withDatabase<Result>(path: string, use: (db: DatabaseSync) => Result): Result {
  // Only reads: a connection that may write would, as the last one, bring the log into the database, and delete it. A log that is
  // damaged must stay as it is for the next start, which tells what was lost.
  const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, readOnly: true })
  try {
    return use(db)
  } catch (error) {
    if (!isCorruption(error)) throw error
    throw new StoreRefused(
      `The database ${path} is damaged or not a database, and cannot be copied as a whole: stop the service, and copy its directory.`,
    )
  } finally {
    db.close()
  }
}
