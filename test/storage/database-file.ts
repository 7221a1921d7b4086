import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { onTestFinished } from 'vitest'
import type { OpenStore } from '../../src/domain/store.ts'
import { openStore } from '../../src/storage/open.ts'
import { START_MS } from '../contract/store-samples.ts'

/** A directory of the test's own, gone after it. */
export function ownDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-storage-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export const ownPath = (): string => join(ownDirectory(), 'holdfast.db')

/** Opens the store at a path; it is closed after the test, if not before. */
export async function openAt(path: string, nowMs = START_MS): Promise<OpenStore> {
  const store = await openStore(`file:${path}`, { clock: () => nowMs })
  onTestFinished(() => store.close())
  return store
}

/** For a database that no store has made: without a lock file, a store waits for a process that may have lost it. */
export const makeLockFile = (path: string): void => writeFileSync(`${path}-lock`, '')

/** Opens the store in a restored file. */
export async function openRestored(path: string): Promise<OpenStore> {
  makeLockFile(path)
  return openAt(path)
}

/** Does something to the database of a store that is closed. */
export function withDatabase<Result>(path: string, use: (db: DatabaseSync) => Result): Result {
  const db = new DatabaseSync(path)
  try {
    return use(db)
  } finally {
    db.close()
  }
}

const WAL_HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24

/** Transactions in a write-ahead log: frames that name the size of the database after them. Source: sqlite.org/fileformat2.html */
export function commitsInLog(path: string): number {
  const log = readFileSync(`${path}-wal`)
  const pageBytes = log.readUInt32BE(8)
  let commits = 0
  for (let at = WAL_HEADER_BYTES; at + FRAME_HEADER_BYTES <= log.length; at += FRAME_HEADER_BYTES + pageBytes) {
    if (log.readUInt32BE(at + 4) !== 0) commits++
  }
  return commits
}
