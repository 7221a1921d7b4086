import {
  accessSync,
  type BigIntStats,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  type Stats,
  statfsSync,
  statSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { messageOf } from '../../domain/errors.ts'
import { StoreRefused } from './errors.ts'

/**
 * `f_type` of file systems that are shared with other machines or run as a program: SQLite's WAL needs shared memory, and
 * acknowledgements need a real fsync. Source: statfs(2), linux/magic.h.
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

/** The name of a file system on which no database may be; undefined if the file system is allowed. */
export const refusedFileSystem = (type: number): string | undefined => REFUSED_FILE_SYSTEMS.get(type >>> 0)

/** Events are private: only the owner may read the files. */
export const OWNER_ONLY = 0o600

/**
 * Makes sure that a database can be at the path: creates its directory, durably, and an empty file if there is none. Returns
 * the path without symbolic links: SQLite finds the log, and processes find the lock, by that path. Throws `StoreRefused`.
 */
export function prepareDatabaseFile(configuredPath: string): string {
  prepareDirectory(dirname(configuredPath))
  makePrivate(configuredPath)
  const path = realpathSync(configuredPath)
  if (dirname(path) !== dirname(configuredPath)) prepareDirectory(dirname(path))
  refuseOtherNames(path)
  return path
}

function prepareDirectory(directory: string): void {
  try {
    const created = mkdirSync(directory, { recursive: true })
    if (created !== undefined) sync(dirname(created))
    accessSync(directory, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new StoreRefused(`The directory ${directory} of the database cannot be written: ${messageOf(error)}`)
  }
  const name = refusedFileSystem(statfsSync(directory).type)
  if (name === undefined) return
  throw new StoreRefused(
    `The directory ${directory} of the database is on ${name}, where SQLite is not safe: use a local disk.`,
  )
}

/** Refuses a database with a second name: a process that opens it by that name would write a second log for it. */
export function refuseOtherNames(path: string): void {
  const { nlink } = statSync(path)
  if (statSync(path).isFile() && nlink > 1) {
    throw new StoreRefused(
      `The database ${path} has ${nlink} names (hard links), and SQLite finds its log by one of them only: remove the other names.`,
    )
  }
  if (isMounted(path)) {
    throw new StoreRefused(`The database ${path} is mounted without its log: mount its directory instead.`)
  }
}

/** Linux lists mounts, with spaces and the like as octal escapes. On other systems single files cannot be mounted. */
function isMounted(path: string): boolean {
  if (process.platform !== 'linux') return false
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .some((line) => unescaped(line.split(' ')[4] ?? '') === path)
  } catch {
    return false
  }
}

const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

/** Creates the file for its owner alone; SQLite gives its log the same permissions. */
export function makePrivate(file: string): void {
  try {
    if (!existsSync(file)) closeSync(openSync(file, 'a', OWNER_ONLY))
  } catch (error) {
    throw new StoreRefused(`The file ${file} cannot be made: ${messageOf(error)}`)
  }
}

/**
 * Fsyncs the log that an earlier process left. That process may have ended between a commit and its fsync. If a sender sends
 * the event of that commit again, the store answers that it is a duplicate, so the event must be on disk.
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

/** A fault of the files. `log`: the database is in its place, but its log is not. */
export interface FilesFault {
  readonly kind: 'database' | 'log'
  readonly message: string
}

/**
 * Two changes of a directory within this time may bear the same timestamp: some file systems keep whole seconds, or every
 * second one.
 */
const TIME_STEP_MS = 2_100

/**
 * The files of an open database, compared with those that were opened. SQLite goes on writing to files that were deleted,
 * renamed or replaced, and the next process would not find those writes. A database never gets shorter by itself; if it is
 * shorter, it was cut or written over.
 */
export class DatabaseFiles {
  readonly #path: string
  readonly #known: ReadonlyMap<string, string | undefined>
  readonly #directory: string
  /** The size of the database at the last check. */
  #sizeBytes: bigint
  #isCut = false
  /** The state of the directory when the files were last found unchanged. */
  #unchanged: Stats | undefined

  /** To be constructed once SQLite has created its log. */
  constructor(path: string) {
    this.#path = path
    this.#directory = dirname(path)
    this.#known = new Map(
      [path, `${path}-wal`, `${path}-shm`].map((file) => [file, fileIdentityOf(statsOf(file))] as const),
    )
    this.#sizeBytes = sizeOf(statsOf(path))
  }

  /**
   * As `fault`, but checks the files only if their directory has changed since the last check: cheap enough for each commit.
   */
  faultSince(): FilesFault | undefined {
    const now = statOf(this.#directory)
    if (now !== undefined && this.#unchanged !== undefined && isSame(now, this.#unchanged)) return undefined
    const fault = this.fault()
    const isSettled = now !== undefined && Date.now() - now.mtimeMs > TIME_STEP_MS
    this.#unchanged = fault === undefined && isSettled ? now : undefined
    return fault
  }

  /** Undefined: the files are the same. */
  fault(): FilesFault | undefined {
    for (const [file, known] of this.#known) {
      const found = statsOf(file)
      const now = fileIdentityOf(found)
      if (now === known) {
        if (file === this.#path && this.#isCutTo(sizeOf(found))) return { kind: 'database', message: cut(file) }
        continue
      }
      const what = now === undefined ? 'was deleted or moved' : 'was replaced'
      return file === this.#path
        ? { kind: 'database', message: `the database file ${file} ${what} while it was in use: ${PUT_BACK}` }
        : {
            kind: 'log',
            message: `${file} ${what} while it was in use: the next process would not find what is written now`,
          }
    }
    return undefined
  }

  /** A database that was cut stays at fault, because the lost data does not come back when the file grows. */
  #isCutTo(sizeBytes: bigint): boolean {
    this.#isCut ||= sizeBytes < this.#sizeBytes
    this.#sizeBytes = sizeBytes
    return this.#isCut
  }
}

const cut = (file: string): string =>
  `the database file ${file} was cut, or written over, while it was in use: stop this process, then restore a backup`

const PUT_BACK =
  'put the file back, and the service goes on; if it is deleted, acknowledged events are lost when this process ends (on Linux, ' +
  `copy the file from /proc/${process.pid}/fd before that)`

function statOf(directory: string): Stats | undefined {
  try {
    return statSync(directory, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

const isSame = (one: Stats, other: Stats): boolean =>
  one.mtimeMs === other.mtimeMs && one.ctimeMs === other.ctimeMs && one.ino === other.ino && one.dev === other.dev

/** Undefined: there is no such file. A string: why the file cannot be checked. */
type FileStats = BigIntStats | string | undefined

function statsOf(file: string): FileStats {
  try {
    return statSync(file, { bigint: true, throwIfNoEntry: false })
  } catch (error) {
    return `cannot be checked: ${messageOf(error)}`
  }
}

const fileIdentityOf = (found: FileStats): string | undefined =>
  typeof found === 'object' ? `${found.dev}:${found.ino}` : found

const sizeOf = (found: FileStats): bigint => (typeof found === 'object' ? found.size : 0n)
