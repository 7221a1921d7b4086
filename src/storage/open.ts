import { type Clock, systemClock } from '../domain/clock.ts'
import { ConfigurationError } from '../domain/errors.ts'
import type { OpenStore, StoreLog } from '../domain/store.ts'
import { databaseFile, databaseUrlFaults, namesPostgres } from './database-url.ts'
import { openSqliteStore } from './sqlite/open.ts'

/** A database that is started together with its replicas takes a while. */
const CONNECT_RETRY_MS = 15_000

export interface OpenStoreOptions {
  /** In place of the system's clock, and of the database's where that is the one that counts. */
  readonly clock?: Clock
  /** With the embedded store, in place of the clock that nobody sets. Where `clock` is given and this is not, that one is. */
  readonly monotonicMs?: () => number
  /** With PostgreSQL, in place of this process's clock alone. */
  readonly localClock?: Clock
  readonly onLog?: StoreLog
  /** How long a database that is not up yet is waited for. */
  readonly connectRetryMs?: number
}

/**
 * Opens the store that DATABASE_URL names: `file:` and a path, relative to the working directory unless absolute, or
 * `postgres:`. Whatever an operator has to put right rejects with `ConfigurationError`.
 */
export async function openStore(databaseUrl: string, options: OpenStoreOptions = {}): Promise<OpenStore> {
  const faults = databaseUrlFaults(databaseUrl)
  if (faults.length > 0) throw new ConfigurationError(faults)
  const onLog = options.onLog ?? (() => undefined)
  if (namesPostgres(databaseUrl)) {
    // Loaded only when asked for: the embedded store has no use for its driver.
    const { openPostgresStore } = await import('./postgres/store.ts')
    const { clock, localClock, connectRetryMs = CONNECT_RETRY_MS } = options
    return openPostgresStore(databaseUrl, { clock, localClock, onLog, connectRetryMs })
  }
  const { clock = systemClock, monotonicMs = options.clock ?? (() => performance.now()) } = options
  return openSqliteStore(databaseFile(databaseUrl) ?? '', { clock, monotonicMs, onLog })
}
