import { randomBytes } from 'node:crypto'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Guard, startGuard } from './guard.ts'
import { type Home, makeHome } from './home.ts'
import { freePort } from './port.ts'

export type Settings = Readonly<Record<string, string>>

export interface PostgresOptions {
  readonly settings?: Settings
  /** In which a directory is made; in memory, where there is room, unless given. */
  readonly directory?: string
  readonly port?: number
}

/** Where a server keeps its data, and how it is reached. */
export interface Cluster {
  readonly home: Home
  readonly dataDirectory: string
  readonly port: number
  /** Of both roles. */
  readonly password: string
  readonly guard: Guard
}

const DEFAULTS: Settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '300',
  shared_buffers: '128MB',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  deadlock_timeout: '200ms',
  // In memory, what the log takes is not there for others.
  max_wal_size: '256MB',
  timezone: 'UTC',
  // What a client computes for each connection.
  scram_iterations: '1',
}

/** A cluster that has not been started yet. */
export async function createCluster({ settings = {}, directory, port }: PostgresOptions): Promise<Cluster> {
  const home = makeHome(directory)
  const guard = startGuard(home.directory)
  try {
    const dataDirectory = join(home.directory, 'data')
    const password = randomBytes(12).toString('hex')
    await initialise(home, dataDirectory, password)
    configure(dataDirectory, { ...DEFAULTS, ...settings })
    return { home, dataDirectory, port: port ?? (await freePort()), password, guard }
  } catch (error) {
    await guard.release()
    throw error
  }
}

async function initialise(home: Home, dataDirectory: string, password: string): Promise<void> {
  const passwordFile = join(home.directory, 'password')
  writeFileSync(passwordFile, password)
  await home.run(home.binary('initdb'), [
    `--pgdata=${dataDirectory}`,
    '--username=postgres',
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-sync',
    '--no-instructions',
  ])
}

/** What is set last is what holds. */
export function configure(dataDirectory: string, settings: Settings): void {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
  appendFileSync(join(dataDirectory, 'postgresql.conf'), lines.join(''))
}
