import { fileURLToPath } from 'node:url'
import { type Clock, systemClock } from '../domain/clock.ts'
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
  if (/^postgres(ql)?:/i.test(databaseUrl)) {
    throw new ConfigurationError([
      'DATABASE_URL names a PostgreSQL database, but this version of Holdfast has only the embedded store: use file:<path>.',
    ])
  }
  return openSqliteStore(pathOf(databaseUrl), {
    clock: options.clock ?? systemClock,
    onLog: options.onLog ?? (() => undefined),
  })
}

function pathOf(databaseUrl: string): string {
  const path = databaseUrl.startsWith('file://') ? pathOfFileUrl(databaseUrl) : /^file:([^?#]+)$/.exec(databaseUrl)?.[1]
  if (path === undefined || path.endsWith('/') || path.includes('\0')) {
    throw new ConfigurationError([
      'DATABASE_URL must be file:<path of the database>, for example file:data/holdfast.db.',
    ])
  }
  return path
}

function pathOfFileUrl(url: string): string | undefined {
  try {
    return fileURLToPath(url)
  } catch {
    return undefined
  }
}
