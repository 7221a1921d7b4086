import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../../src/domain/clock.ts'
import type { OpenStore } from '../../../src/domain/store.ts'
import { openForWriting } from '../../../src/storage/sqlite/connection.ts'
import { OWNER_ONLY, prepareDatabaseFile } from '../../../src/storage/sqlite/database-directory.ts'
import { migrate } from '../../../src/storage/sqlite/migrate.ts'
import { opened } from '../../../src/storage/sqlite/open.ts'
import { takeProcessLock } from '../../../src/storage/sqlite/process-lock.ts'
import { SqliteStore } from '../../../src/storage/sqlite/store.ts'
import { type SqliteStoreOptions, StoreThreads } from '../../../src/storage/sqlite/store-threads.ts'
import type { WriterData } from '../../../src/storage/sqlite/thread-messages.ts'
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
  return openOnLentThreads(join(directory, 'holdfast.db'), options, () => rmSync(directory, { recursive: true }))
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

async function openOnLentThreads(
  file: string,
  options: SqliteStoreOptions,
  onClosed: () => void = () => {},
): Promise<OpenStore> {
  const path = prepareDatabaseFile(file)
  const owner = await takeProcessLock(path)
  const writer = lendThread(urlOf('writer'), { path, nowMs: options.clock() } satisfies WriterData)
  await opened(writer)
  const release = (): void => {
    owner.release()
    onClosed()
  }
  const startScanner = () => lendThread(urlOf('reader'), { path })
  const reader = startScanner()
  const store = new SqliteStore(new StoreThreads({ writer, reader, startScanner }, { ...owner, release }, options))
  await opened(reader)
  return store
}

const urlOf = (name: 'writer' | 'reader'): string =>
  new URL(`../../../src/storage/sqlite/${name}.ts`, import.meta.url).href
