import { accessSync, closeSync, constants, existsSync, fsyncSync, mkdirSync, openSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf } from '../../domain/errors.ts'
import { StoreRefused } from './refused.ts'

/**
 * `f_type` of file systems whose locks or fsync reach past this machine or are somebody's program: SQLite's WAL needs
 * shared memory, and acknowledgements need fsync. Source: statfs(2), linux/magic.h.
 */
const REFUSED_FILE_SYSTEMS = new Map<number, string>([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0x65735546, 'FUSE'],
  [0x01021997, '9P'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
])

/** The name of a file system that no database may live on; undefined where it may. */
export const refusedFileSystem = (type: number): string | undefined => REFUSED_FILE_SYSTEMS.get(type >>> 0)

/** Events are between their senders and us. */
const OWNER_ONLY = 0o600

/**
 * Makes sure that a database can live at the path: creates its directory, durably, and an empty file for it where there is
 * none. Throws `StoreRefused`.
 */
export function preparePlace(path: string): void {
  const directory = dirname(path)
  try {
    const created = mkdirSync(directory, { recursive: true })
    if (created !== undefined) sync(dirname(created))
    accessSync(directory, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new StoreRefused(`The directory ${directory} of the database cannot be written: ${messageOf(error)}`)
  }
  const name = refusedFileSystem(statfsSync(directory).type)
  if (name !== undefined) {
    throw new StoreRefused(
      `The directory ${directory} of the database is on ${name}, where SQLite is not safe: use a local disk.`,
    )
  }
  for (const file of [path, `${path}-lock`]) makePrivate(file)
}

/** What SQLite puts beside it (its log) takes after it. */
function makePrivate(file: string): void {
  try {
    if (!existsSync(file)) closeSync(openSync(file, 'a', OWNER_ONLY))
  } catch (error) {
    throw new StoreRefused(`The file ${file} cannot be made: ${messageOf(error)}`)
  }
}

/**
 * Fsyncs the log that an earlier process left: it may have ended between a commit and its fsync, and a sender that comes
 * again is then told that the event is known.
 */
export function syncLog(path: string): void {
  if (existsSync(`${path}-wal`)) sync(`${path}-wal`)
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
