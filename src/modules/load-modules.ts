import { getCompileCacheDir } from 'node:module'
import { Worker } from 'node:worker_threads'
import type { Logger } from 'pino'
import { messageOf } from '../domain/errors.ts'
import { logLines } from '../threads/thread-lines.ts'
import { revive } from './description.ts'

/** What a module may take to load. */
const MAX_LOADING_MS = 10_000
const MAX_HEAP_MIB = 256

/** What the thread says: of the default export all that is data (`describe`). */
export type FromLoading =
  | { readonly kind: 'loaded'; readonly exported: unknown }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'failed'; readonly error: string }

export interface LoadingOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly log: Logger
  /** For tests. */
  readonly maxLoadingMs?: number
}

/**
 * Imports a provider module as `import` does, but in a thread that is ended then: whatever it does while it loads, or leaves
 * behind, is gone. Functions of what it exports are not to be called. Rejects, in words for the operator, where it does not
 * load in time.
 */
export async function loadApart(
  url: string,
  { environment, log, maxLoadingMs = MAX_LOADING_MS }: LoadingOptions,
): Promise<{ readonly default?: unknown }> {
  const cache = getCompileCacheDir()
  const worker = new Worker(new URL('./loading-thread.ts', import.meta.url), {
    name: 'holdfast-loading',
    workerData: { module: url },
    execArgv: [],
    env: { ...environment, ...(cache !== undefined && { NODE_COMPILE_CACHE: cache }) },
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  })
  logLines(worker, log, { module: url })
  try {
    const heard = await firstOf(worker, maxLoadingMs)
    if (heard.kind === 'failed') throw new Error(heard.error)
    return heard.kind === 'loaded' ? { default: revive(heard.exported) } : {}
  } finally {
    await worker.terminate()
  }
}

function firstOf(worker: Worker, maxLoadingMs: number): Promise<FromLoading> {
  const { promise, resolve } = Promise.withResolvers<FromLoading>()
  const fail = (error: string): void => resolve({ kind: 'failed', error })
  const timer = setTimeout(() => fail(`it took longer than ${maxLoadingMs} ms to load`), maxLoadingMs)
  worker.on('message', (message: unknown) => {
    if (isOfLoading(message)) resolve(message)
  })
  worker.on('error', (thrown: unknown) => fail(messageOf(thrown)))
  worker.on('exit', () => fail('it ended the thread that loads it, or waits while it loads for what never comes'))
  return promise.finally(() => clearTimeout(timer))
}

/** The module itself may say anything while it loads. */
const isOfLoading = (message: unknown): message is FromLoading =>
  ['loaded', 'nothing', 'failed'].includes(String((message as Partial<FromLoading> | null)?.kind))
