import type { Clock } from '../../domain/clock.ts'
import { ConfigurationError } from '../../domain/errors.ts'
import type { OpenStore, StoreLog } from '../../domain/store.ts'
import { type PostgresTarget, postgresTarget } from '../shared/database-url.ts'
import { BodyPartitions } from './body-partitions.ts'
import { DatabaseClock } from './clock.ts'
import { connectWithRetry } from './connect-with-retry.ts'
import { Connections, type MakePool } from './connections.ts'
import { migrate } from './migrate.ts'
import { Scanner } from './scanner.ts'
import { createStore } from './store.ts'

interface PostgresStoreOptions {
  /** In tests, replaces the clock of the database and that of this process. */
  readonly clock: Clock | undefined
  /** In tests, replaces only the clock of this process. */
  readonly localClock: Clock | undefined
  readonly onLog: StoreLog
  /** How long the store tries to connect to a server that is starting or failing over. */
  readonly connectRetryMs: number
  /** How long a statement waits for a connection; 3 s unless given. */
  readonly connectTimeoutMs?: number | undefined
  /** In tests, replaces the pools of connections. */
  readonly makePool?: MakePool | undefined
}

/** Opens a store in PostgreSQL, and creates its schema if there is none. Rejects with `ConfigurationError`. */
export async function openPostgresStore(databaseUrl: string, options: PostgresStoreOptions): Promise<OpenStore> {
  const { connectRetryMs, onLog } = options
  return connectWithRetry(connectRetryMs, onLog, () => openOnce(databaseUrl, options))
}

async function openOnce(databaseUrl: string, options: PostgresStoreOptions): Promise<OpenStore> {
  const target = postgresTarget(databaseUrl)
  await migrate(target, options.onLog)
  return openMigratedStore(target, options)
}

/** Opens a store in a schema that is up to date. */
export async function openMigratedStore(
  target: PostgresTarget,
  options: Omit<PostgresStoreOptions, 'connectRetryMs'>,
): Promise<OpenStore> {
  const connections = new Connections(target, options.connectTimeoutMs, options.makePool)
  const clock = new DatabaseClock(options.clock, options.localClock)
  const partitions = new BodyPartitions(connections, clock)
  try {
    await refuseHalfMoved(connections)
    await partitions.makeAhead()
  } catch (error) {
    await connections.close()
    throw error
  }
  return createStore({ connections, clock, partitions, scanner: new Scanner(target), onLog: options.onLog })
}

async function refuseHalfMoved(connections: Connections): Promise<void> {
  const unfinished = await connections.run('work', 'SELECT FROM move')
  if (unfinished.length === 0) return
  throw new ConfigurationError([
    'DATABASE_URL: events are being moved into this database, and the move is not finished: run holdfast migrate again.',
  ])
}
