import { existsSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../domain/errors.ts'
import { makePrivate } from './database-directory.ts'
import { primaryCode, SQLITE_BUSY, StoreRefused } from './errors.ts'

/** Time between two checks that the lock file is still the one that other processes find. */
const LOOK_INTERVAL_MS = 1_000
/**
 * If the lock file of a running process is removed, that process has locked a new one within this time, or has given up the
 * database.
 */
const RETAKE_MS = 3 * LOOK_INTERVAL_MS

export interface ProcessLock {
  readonly release: () => void
  /** Resolves with the reason once another process has the database. */
  readonly taken: Promise<string>
}

/**
 * Locks a database for this process, by an exclusive transaction on `<path>-lock`, which the operating system releases however
 * the process ends. Throws `StoreRefused` while another process holds the lock. `path` has no symbolic links. If a database has
 * no lock file, the lock file of a running process may have been removed: this function then gives that process the time to
 * lock a new one.
 */
export async function takeProcessLock(path: string): Promise<ProcessLock> {
  const lost = Promise.withResolvers<string>()
  const isMissing = !existsSync(lockOf(path))
  makePrivate(lockOf(path))
  if (isMissing && statSync(path).size > 0) await sleep(RETAKE_MS)
  let held = take(path)
  const timer = setInterval(() => {
    try {
      if (identityOf(path) === held.identity) return
      makePrivate(lockOf(path))
      const again = take(path)
      held.lock.close()
      held = again
    } catch (error) {
      // Any other failure, such as a missing directory, leaves nothing that another process could lock.
      if (error instanceof LockTaken) lost.resolve('another process has taken the database: its lock was removed')
    }
  }, LOOK_INTERVAL_MS)
  timer.unref()
  return {
    taken: lost.promise,
    release: () => {
      clearInterval(timer)
      if (held.lock.isOpen) held.lock.close()
    },
  }
}

class LockTaken extends StoreRefused {}

interface HeldLock {
  readonly lock: DatabaseSync
  readonly identity: string | undefined
}

function take(path: string): HeldLock {
  let lock: DatabaseSync | undefined
  try {
    lock = new DatabaseSync(lockOf(path), { timeout: 0 })
    lock.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE')
    return { lock, identity: identityOf(path) }
  } catch (error) {
    lock?.close()
    if (primaryCode(error) === SQLITE_BUSY) {
      throw new LockTaken(`The database ${path} is in use by another process: stop that process first.`)
    }
    throw new StoreRefused(`The lock ${lockOf(path)} cannot be taken: ${messageOf(error)}`)
  }
}

const lockOf = (path: string): string => `${path}-lock`

function identityOf(path: string): string | undefined {
  const stats = statSync(lockOf(path), { bigint: true, throwIfNoEntry: false })
  return stats && `${stats.dev}:${stats.ino}`
}
