import { type Clock, systemClock } from '../domain/clock.ts'
import { ConfigurationError } from '../domain/errors.ts'
import type { OpenStore, StoreLog } from '../domain/store.ts'
import { databaseFile, databaseUrlFaults, namesPostgres } from './shared/database-url.ts'
import { openSqliteStore, type StartThread } from './sqlite/open.ts'

/**
 * How long a start waits for a database that does not accept connections yet, as one that is started together with the
 * replicas.
 */
const CONNECT_RETRY_MS = 15_000

export interface OpenStoreOptions {
  /** Replaces the system's clock, and with PostgreSQL the database's. */
  readonly clock?: Clock
  /** Replaces the monotonic clock of the SQLite store; if absent, `clock` replaces it, if that is given. */
  readonly monotonicMs?: () => number
  /** With PostgreSQL: replaces only the clock of this process. */
  readonly localClock?: Clock
  readonly onLog?: StoreLog
  /** How long a start waits for a PostgreSQL server that does not accept connections yet. */
  readonly connectRetryMs?: number
  /** How long a statement waits for a connection to PostgreSQL; 3 s unless given. */
  readonly connectTimeoutMs?: number
  /** Starts the threads of the SQLite store, in tests. */
  readonly startThread?: StartThread
}

/**
 * Opens the store that DATABASE_URL names: `file:` and a path, relative to the working directory unless absolute, or
 * `postgres:`. Rejects with `ConfigurationError` at a fault that an operator has to correct.
 */
export async function openStore(databaseUrl: string, options: OpenStoreOptions = {}): Promise<OpenStore> {
  const faults = databaseUrlFaults(databaseUrl)
  if (faults.length > 0) throw new ConfigurationError(faults)
  const onLog = options.onLog ?? (() => undefined)
  if (namesPostgres(databaseUrl)) {
    // Imported only here: the SQLite store does not need PostgreSQL's driver.
    const { openPostgresStore } = await import('./postgres/open.ts')
    const { clock, localClock, connectRetryMs = CONNECT_RETRY_MS, connectTimeoutMs } = options
    return openPostgresStore(databaseUrl, { clock, localClock, onLog, connectRetryMs, connectTimeoutMs })
  }
  const { clock = systemClock, monotonicMs = options.clock ?? (() => performance.now()) } = options
  return openSqliteStore(databaseFile(databaseUrl) ?? '', { clock, monotonicMs, onLog }, options.startThread)
}
