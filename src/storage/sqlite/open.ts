import { getCompileCacheDir } from 'node:module'
import { Worker } from 'node:worker_threads'
import { ConfigurationError } from '../../domain/errors.ts'
import type { OpenStore } from '../../domain/store.ts'
import { prepareDatabaseFile } from './database-directory.ts'
import { StoreRefused } from './errors.ts'
import { type ProcessLock, takeProcessLock } from './process-lock.ts'
import { SqliteStore, type SqliteStoreOptions } from './store.ts'
import type { FromWriter, WriterData } from './thread-messages.ts'

/** Opens the embedded store, creating it where there is none. Rejects with `ConfigurationError`. */
export async function openSqliteStore(given: string, options: SqliteStoreOptions): Promise<OpenStore> {
  let lock: ProcessLock | undefined
  try {
    const path = prepareDatabaseFile(given)
    lock = await takeProcessLock(path)
    const writer = await startWriter({ path, nowMs: options.clock() })
    return new SqliteStore(writer, startThread('reader.ts', { path }), lock, options)
  } catch (error) {
    lock?.release()
    throw error instanceof StoreRefused ? new ConfigurationError([error.message]) : error
  }
}

/** Both threads make short-lived garbage only; V8 would let it grow to several times this before it collects. */
const MAX_YOUNG_GENERATION_MIB = 4

function startThread(file: string, workerData: unknown): Worker {
  // Without this process's flags and environment: a test runner's loader must not load itself here too. But with its compile
  // cache, which halves the time that a thread needs to start.
  const cache = getCompileCacheDir()
  return new Worker(new URL(`./${file}`, import.meta.url), {
    name: `holdfast-${file.replace('.ts', '')}`,
    workerData,
    execArgv: [],
    env: cache === undefined ? {} : { NODE_COMPILE_CACHE: cache },
    resourceLimits: { maxYoungGenerationSizeMb: MAX_YOUNG_GENERATION_MIB },
  })
}

function startWriter(data: WriterData): Promise<Worker> {
  return new Promise((resolve, reject) => {
    const writer = startThread('writer.ts', data)
    writer.once('error', reject)
    writer.once('message', (message: FromWriter) => {
      writer.removeListener('error', reject)
      if (message.kind === 'ready') resolve(writer)
      else
        reject(
          message.kind === 'refused' ? new StoreRefused(message.fault) : new Error('the store thread did not start'),
        )
    })
  })
}
