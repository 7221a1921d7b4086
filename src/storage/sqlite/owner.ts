import { DatabaseSync } from 'node:sqlite'
import { messageOf } from '../../domain/errors.ts'
import { StoreRefused } from './refused.ts'
import { primaryCode, SQLITE_BUSY } from './sqlite-errors.ts'

/**
 * Takes a database for this process's life, by an exclusive transaction on `<path>-lock`: the operating system lets go of
 * it however the process ends. Throws `StoreRefused` while another holds it. Returns the release.
 */
export function takeOwnership(path: string): () => void {
  let lock: DatabaseSync | undefined
  try {
    lock = new DatabaseSync(`${path}-lock`, { timeout: 0 })
    lock.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE')
  } catch (error) {
    lock?.close()
    if (primaryCode(error) === SQLITE_BUSY) {
      throw new StoreRefused(`The database ${path} is in use by another process: stop that one first.`)
    }
    throw new StoreRefused(`The lock ${path}-lock cannot be taken: ${messageOf(error)}`)
  }
  const held = lock
  return () => {
    if (held.isOpen) held.close()
  }
}
