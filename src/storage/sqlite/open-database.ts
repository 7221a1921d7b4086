import type { DatabaseSync } from 'node:sqlite'
import { messageOf } from '../../domain/errors.ts'
import { Checkpointer } from './checkpoint.ts'
import { Committer } from './committer.ts'
import { openForWriting } from './connection.ts'
import { Damage } from './damage.ts'
import { DatabaseFiles, syncLog } from './database-directory.ts'
import type { Warnings } from './health.ts'
import { migrate } from './migrate.ts'
import { prepareRebuild } from './rebuild-indexes.ts'
import { reclaimAllLeases } from './reclaim-leases.ts'
import type { WriterData } from './thread-messages.ts'
import { examineLog, lossOf, SyncedLog } from './wal-sync.ts'

/** The database as the writer thread has it open. */
export interface OpenDatabase {
  readonly db: DatabaseSync
  readonly committer: Committer
  readonly checkpointer: Checkpointer
  readonly files: DatabaseFiles
  readonly synced: SyncedLog
  readonly damage: Damage
}

interface OpenDatabaseOptions extends WriterData {
  readonly warnings: Warnings
  /** Runs the rest of a checkpoint between two commits. */
  readonly onCheckpoint: (run: () => void) => void
  readonly onLost: (error: Error) => void
}

/**
 * Opens the database: brings its schema up to date, rebuilds indexes that it finds damaged, releases the leases of the process
 * that had the database open before, and finds out which events a damaged log has lost. Throws if the database cannot be
 * opened; `refusal` makes the error for the operator.
 */
export function openDatabase({ path, nowMs, warnings, onCheckpoint, onLost }: OpenDatabaseOptions): OpenDatabase {
  let db: DatabaseSync | undefined
  try {
    const leftBehind = examineLog(path, nowMs)
    db = openForWriting(path)
    migrate(db, path)
    const loss = lossOf(db, leftBehind)
    const damage = new Damage((found) => warnings.damaged(found), prepareRebuild(db, warnings))
    reclaimAllLeases(db, damage, nowMs)
    syncLog(path)
    const committer = new Committer(db, damage)
    const synced = new SyncedLog(db, path, committer.lastKey())
    if (loss !== undefined) warnings.found(loss)
    synced.note(nowMs, committer.lastKey())
    const checkpointer = new Checkpointer(db, path, onCheckpoint, (error) =>
      onLost(new Error(`a write to disk failed for good: ${messageOf(error)}`)),
    )
    return { db, committer, checkpointer, files: new DatabaseFiles(path), synced, damage }
  } catch (error) {
    db?.close()
    throw error
  }
}

/** Brings the log into the database and closes both. */
export async function closeDatabase({ db, checkpointer, synced }: OpenDatabase): Promise<void> {
  await checkpointer.close()
  synced.forget()
  checkpointer.truncate()
  synced.close()
  db.close()
}
