import { ConfigurationError } from '../../domain/errors.ts'
import type { OpenStore } from '../../domain/store.ts'
import { preparePlace } from './database-directory.ts'
import { type Ownership, takeOwnership } from './process-lock.ts'
import { StoreRefused } from './refused.ts'
import { SqliteStore, type SqliteStoreOptions } from './store.ts'
import { startThread, startWriter } from './threads.ts'

/** Opens the embedded store, creating it where there is none. Rejects with `ConfigurationError`. */
export async function openSqliteStore(given: string, options: SqliteStoreOptions): Promise<OpenStore> {
  let owner: Ownership | undefined
  try {
    const path = preparePlace(given)
    owner = await takeOwnership(path)
    const writer = await startWriter({ path, nowMs: options.clock() })
    return new SqliteStore(writer, startThread('reader.ts', { path }), owner, options)
  } catch (error) {
    owner?.release()
    throw error instanceof StoreRefused ? new ConfigurationError([error.message]) : error
  }
}
