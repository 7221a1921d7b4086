import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type Cluster, createCluster, type PostgresOptions } from './cluster.ts'
import { queryAt } from './query.ts'

/** A PostgreSQL of one's own, of the binaries that npm brings. */
export interface PostgresServer {
  /** With the role holdfast, which is no superuser, on the database holdfast, which it owns. */
  readonly url: string
  /** With the superuser, on the database postgres. */
  readonly adminUrl: string
  readonly port: number
  readonly dataDirectory: string
  /** Of the postmaster. Throws when there is none. */
  pid(): number
  /** What it wrote last. */
  log(): string
  /** Ends the postmaster with SIGKILL; resolves when all its processes, which notice by themselves, are gone. */
  kill(): Promise<void>
  /** A fast shutdown. */
  stop(): Promise<void>
  /** Starts it again, where it was; resolves when it takes connections. */
  start(): Promise<void>
  /** Stops it and deletes its files. Idempotent. */
  remove(): Promise<void>
  /** Runs SQL as the superuser on the database holdfast; gives the rows. */
  query<Row extends object = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<Row[]>
}

const LOG_LINES = 200
/** A shutdown that would take longer, as one that waits for a standby, becomes an immediate one. */
const STOP_MS = 10_000

export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  return startEmpty(await createCluster(options))
}

/** Starts a new cluster, and makes the role and its database. */
export async function startEmpty(cluster: Cluster): Promise<PostgresServer> {
  const server = serverOf(cluster)
  try {
    await server.start()
    await queryAt(server.adminUrl, { sql: `CREATE ROLE holdfast LOGIN PASSWORD '${cluster.password}'` })
    await queryAt(server.adminUrl, { sql: 'CREATE DATABASE holdfast OWNER holdfast' })
    return server
  } catch (error) {
    await server.remove()
    throw error
  }
}

/** The server of a cluster; not started. */
export function serverOf({ home, dataDirectory, port, password, guard }: Cluster): PostgresServer {
  const urlOf = (role: string, database: string): string =>
    `postgres://${role}:${password}@127.0.0.1:${port}/${database}`
  const lines: string[] = []
  let running: { readonly postmaster: ChildProcess; readonly gone: Promise<unknown> } | undefined
  let crashed = false
  let removing: Promise<void> | undefined

  async function start(): Promise<void> {
    if (running !== undefined) throw new Error('it runs already')
    const postmaster = spawn(home.binary('postgres'), ['-D', dataDirectory, '-p', String(port)], {
      ...home.as,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    // Not exit: every process of the server holds the pipe.
    const gone = once(postmaster, 'close')
    running = { postmaster, gone }
    guard.watch(postmaster.pid)
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
    createInterface(postmaster.stderr).on('line', (line) => {
      if (lines.push(line) > LOG_LINES) lines.shift()
      if (/ready to accept (read-only )?connections/.test(line)) resolve()
    })
    const end = (cause?: unknown): void => {
      running = undefined
      crashed = postmaster.signalCode !== null
      guard.watch(undefined)
      reject(new Error(`PostgreSQL has ended: ${lines.slice(-10).join('\n')}`, { cause }))
    }
    gone.then(() => end(), end)
    await ready
  }

  async function end(signal: 'SIGINT' | 'SIGKILL'): Promise<void> {
    if (running === undefined) return
    const { postmaster, gone } = running
    const killTimer = setTimeout(() => postmaster.kill('SIGQUIT'), STOP_MS)
    postmaster.kill(signal)
    await gone.finally(() => clearTimeout(killTimer))
  }

  async function remove(): Promise<void> {
    // What a crash left in shared memory is cleared away by the next start.
    if (crashed) await start().catch(() => {})
    await end('SIGINT')
    await guard.release()
  }

  return {
    url: urlOf('holdfast', 'holdfast'),
    adminUrl: urlOf('postgres', 'postgres'),
    port,
    dataDirectory,
    pid() {
      const pid = running?.postmaster.pid
      if (pid === undefined) throw new Error('it does not run')
      return pid
    },
    log: () => lines.join('\n'),
    kill: () => end('SIGKILL'),
    stop: () => end('SIGINT'),
    start,
    remove: () => (removing ??= remove()),
    query: (sql, params) => queryAt(urlOf('postgres', 'holdfast'), { sql, params }),
  }
}
