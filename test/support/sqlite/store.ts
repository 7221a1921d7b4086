import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../../src/domain/clock.ts'
import type { OpenStore } from '../../../src/domain/store.ts'
import { openForWriting } from '../../../src/storage/sqlite/connection.ts'
import { OWNER_ONLY } from '../../../src/storage/sqlite/database-directory.ts'
import { migrate } from '../../../src/storage/sqlite/migrate.ts'
import { openSqliteStore } from '../../../src/storage/sqlite/open.ts'
import { lendThread } from './threads.ts'

const MEMORY = '/dev/shm'

/** A directory in memory, where the system has one, for tests that are not about the disk. */
export const memoryDirectory = (): string => mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'holdfast-'))

/**
 * Opens an embedded store that is empty, and removes it when it is closed. Its threads are lent, and the clock moves only as
 * the test moves it, where there is one.
 */
export async function openEmptyStore(given?: Clock): Promise<OpenStore> {
  const directory = memoryDirectory()
  copyEmptyDatabase(join(directory, 'holdfast.db'))
  const options = { clock: given ?? systemClock, monotonicMs: given ?? (() => performance.now()), onLog: () => {} }
  const store = await openSqliteStore(join(directory, 'holdfast.db'), options, lendThread)
  let closing: Promise<void> | undefined
  const close = store.close.bind(store)
  store.close = () => (closing ??= close().finally(() => rmSync(directory, { recursive: true })))
  return store
}

let emptyDatabase: Buffer | undefined

/** Its schema takes longer to make than most tests run. With the lock of a process that has ended, as it would be found. */
function copyEmptyDatabase(file: string): void {
  emptyDatabase ??= makeEmptyDatabase()
  writeFileSync(file, emptyDatabase, { mode: OWNER_ONLY })
  writeFileSync(`${file}-lock`, '', { mode: OWNER_ONLY })
}

function makeEmptyDatabase(): Buffer {
  const directory = memoryDirectory()
  const file = join(directory, 'holdfast.db')
  try {
    const db = openForWriting(file)
    migrate(db, file)
    db.close()
    return readFileSync(file)
  } finally {
    rmSync(directory, { recursive: true })
  }
}
