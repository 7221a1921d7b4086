import { getCompileCacheDir } from 'node:module'
import { basename } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ConfigurationError } from '../../domain/errors.ts'
import type { OpenStore } from '../../domain/store.ts'
import { prepareDatabaseFile } from './database-directory.ts'
import { StoreRefused } from './errors.ts'
import { type ProcessLock, takeProcessLock } from './process-lock.ts'
import { SqliteStore } from './store.ts'
import { type SqliteStoreOptions, StoreThreads } from './store-threads.ts'
import type { FromWriter, WriterData } from './thread-messages.ts'

export type StartThread = (script: URL, workerData: unknown) => Worker

/**
 * Opens the embedded store, and creates it if there is none. Rejects with `ConfigurationError`. Tests have their own
 * `startThread`.
 */
export async function openSqliteStore(
  configuredPath: string,
  options: SqliteStoreOptions,
  startThread: StartThread = startWorker,
): Promise<OpenStore> {
  let lock: ProcessLock | undefined
  let store: OpenStore | undefined
  try {
    const path = prepareDatabaseFile(configuredPath)
    lock = await takeProcessLock(path)
    const writer = startThread(new URL('./writer.ts', import.meta.url), {
      path,
      nowMs: options.clock(),
    } satisfies WriterData)
    await opened(writer)
    const startReader = () => startThread(new URL('./reader.ts', import.meta.url), { path })
    const reader = startReader()
    // From here on the store receives the messages of the writer.
    store = new SqliteStore(new StoreThreads({ writer, reader, startScanner: startReader }, lock, options))
    await opened(reader)
    return store
  } catch (error) {
    await store?.close()
    lock?.release()
    throw error instanceof StoreRefused ? new ConfigurationError([error.message]) : error
  }
}

/**
 * Both threads make short-lived garbage only; V8 would let that garbage grow to several times this size before it collects it.
 */
const MAX_YOUNG_GENERATION_MIB = 4

function startWorker(script: URL, workerData: unknown): Worker {
  // The thread gets neither the flags nor the environment of this process: the loader of a test runner must not load itself
  // here too. It does get the compile cache, which halves the time that a thread needs to start.
  const cache = getCompileCacheDir()
  return new Worker(script, {
    name: `holdfast-${basename(script.pathname).split('.')[0]}`,
    workerData,
    execArgv: [],
    env: cache === undefined ? {} : { NODE_COMPILE_CACHE: cache },
    resourceLimits: { maxYoungGenerationSizeMb: MAX_YOUNG_GENERATION_MIB },
  })
}

/** Resolves once the thread has the files open. From then on the files may be moved away and put back. */
function opened(thread: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    thread.once('error', reject)
    thread.once('exit', (code) => reject(new Error(`a thread of the store ended with code ${code}`)))
    thread.once('message', (message: FromWriter) => {
      thread.removeListener('error', reject)
      if (message.kind === 'ready') resolve()
      else
        reject(
          message.kind === 'refused' ? new StoreRefused(message.fault) : new Error('the store thread did not start'),
        )
    })
  })
}
