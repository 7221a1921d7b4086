import { fileURLToPath } from 'node:url'
import { type Clock, systemClock } from '../domain/clock.ts'
import { ConfigurationError } from '../domain/errors.ts'
import type { OpenStore } from '../domain/store.ts'
import { openSqliteStore, type StoreLog } from './sqlite/store.ts'

export interface OpenStoreOptions {
  readonly clock?: Clock
  readonly onLog?: StoreLog
}

/** What is wrong with a DATABASE_URL, as far as its text tells. */
export function faultsOf(databaseUrl: string): readonly string[] {
  if (/^postgres(ql)?:/i.test(databaseUrl)) {
    return [
      'DATABASE_URL names a PostgreSQL database, but this version of Holdfast has only the embedded store: use file:<path>.',
    ]
  }
  if (pathOf(databaseUrl) !== undefined) return []
  return ['DATABASE_URL must be file:<path of the database>, for example file:data/holdfast.db.']
}

/**
 * Opens the store that DATABASE_URL names: `file:` and a path, relative to the working directory unless absolute. Whatever
 * an operator has to put right rejects with `ConfigurationError`.
 */
export async function openStore(databaseUrl: string, options: OpenStoreOptions = {}): Promise<OpenStore> {
  const path = pathOf(databaseUrl)
  if (path === undefined) throw new ConfigurationError(faultsOf(databaseUrl))
  return openSqliteStore(path, {
    clock: options.clock ?? systemClock,
    onLog: options.onLog ?? (() => undefined),
  })
}

function pathOf(databaseUrl: string): string | undefined {
  const path = databaseUrl.startsWith('file://') ? pathOfFileUrl(databaseUrl) : /^file:([^?#]+)$/.exec(databaseUrl)?.[1]
  return path?.endsWith('/') || path?.includes('\0') ? undefined : path
}

function pathOfFileUrl(url: string): string | undefined {
  try {
    return fileURLToPath(url)
  } catch {
    return undefined
  }
}
