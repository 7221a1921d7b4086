import { type Clock, systemClock } from '../domain/clock.ts'
import { databaseFile, databaseUrlFaults } from '../domain/database-url.ts'
import { ConfigurationError } from '../domain/errors.ts'
import type { OpenStore } from '../domain/store.ts'
import { openSqliteStore, type StoreLog } from './sqlite/store.ts'

export interface OpenStoreOptions {
  readonly clock?: Clock
  readonly onLog?: StoreLog
}

/**
 * Opens the store that DATABASE_URL names: `file:` and a path, relative to the working directory unless absolute. Whatever
 * an operator has to put right rejects with `ConfigurationError`.
 */
export async function openStore(databaseUrl: string, options: OpenStoreOptions = {}): Promise<OpenStore> {
  const path = databaseFile(databaseUrl)
  if (path === undefined) throw new ConfigurationError(databaseUrlFaults(databaseUrl))
  return openSqliteStore(path, {
    clock: options.clock ?? systemClock,
    onLog: options.onLog ?? (() => undefined),
  })
}
