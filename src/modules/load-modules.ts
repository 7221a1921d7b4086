import { getCompileCacheDir } from 'node:module'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { Logger } from 'pino'
import { type HeapLimits, watchHeap } from '../threads/heap-watch.ts'
import { logLines } from '../threads/thread-lines.ts'
import { faultOf, type ModuleFault, ModuleFaultError } from './module-fault.ts'

/** How long the loading of a module may take. */
const MAX_LOADING_MS = 10_000
/** For a module while it loads, and for each of its calls. */
export const MODULE_HEAP: HeapLimits = { maxMiB: 384, limitMiB: 1_536 }

/** The message of the thread; `exported`: the data of the default export (`describe`). */
export type FromLoading =
  | { readonly kind: 'loaded'; readonly exported: unknown }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'failed'; readonly fault: ModuleFault }

interface LoadingOptions {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly log: Logger
  /** Ends the thread before the module has loaded. */
  readonly signal?: AbortSignal
  /** For tests. */
  readonly maxLoadingMs?: number
}

/**
 * Imports a provider module in a thread that ends afterwards, and everything that the module started ends with it. The caller
 * must not call the functions in the result. Rejects with `ModuleFaultError` if the module does not load, or not in time.
 */
export async function loadInThread(
  url: string,
  { environment, log, signal, maxLoadingMs = MAX_LOADING_MS }: LoadingOptions,
): Promise<{ readonly default?: unknown }> {
  const cache = getCompileCacheDir()
  const worker = new Worker(new URL('./loading-thread.ts', import.meta.url), {
    name: 'holdfast-loading',
    workerData: { module: url },
    execArgv: [],
    env: { ...environment, ...(cache !== undefined && { NODE_COMPILE_CACHE: cache }) },
    resourceLimits: { maxOldGenerationSizeMb: MODULE_HEAP.limitMiB },
  })
  logLines(worker, log, { module: url })
  try {
    const outcome = await firstOf(worker, { file: fileURLToPath(url), maxLoadingMs, signal })
    if (outcome.kind === 'failed') throw new ModuleFaultError(outcome.fault)
    return outcome.kind === 'loaded' ? { default: revive(outcome.exported) } : {}
  } finally {
    await worker.terminate()
  }
}

interface Loading {
  readonly file: string
  readonly maxLoadingMs: number
  readonly signal: AbortSignal | undefined
}

function firstOf(worker: Worker, { file, maxLoadingMs, signal }: Loading): Promise<FromLoading> {
  const { promise, resolve } = Promise.withResolvers<FromLoading>()
  const fail = (message: string): void => resolve({ kind: 'failed', fault: { message } })
  const timer = setTimeout(() => fail(`it took longer than ${maxLoadingMs} ms to load`), maxLoadingMs)
  const unwatchHeap = watchHeap(worker, MODULE_HEAP, 'busy', () =>
    fail(`it takes more than ${MODULE_HEAP.maxMiB} MiB of memory to load`),
  )
  worker.on('message', (message: unknown) => {
    if (isFromLoading(message)) resolve(message)
  })
  // Resolved at once with a promise: the thread's exit follows, and must not take the place of the error.
  worker.on('error', (thrown: unknown) => resolve(faultOf(file, thrown).then((fault) => ({ kind: 'failed', fault }))))
  worker.on('exit', () => fail('it ended the thread that loads it, or awaits a promise that never settles'))
  const breakOff = (): void => fail('its loading was broken off')
  signal?.addEventListener('abort', breakOff)
  if (signal?.aborted === true) breakOff()
  return promise.finally(() => {
    signal?.removeEventListener('abort', breakOff)
    clearTimeout(timer)
    unwatchHeap()
  })
}

/** Needed because the module itself may post any message while it loads. */
const isFromLoading = (message: unknown): message is FromLoading =>
  ['loaded', 'nothing', 'failed'].includes(String((message as Partial<FromLoading> | null)?.kind))

/** Key of the object that replaces a function between the threads: `{ [FUNCTION]: <the name of its constructor> }`. */
const FUNCTION = 'holdfast:function'
/** Deepest nesting of an export; a deeper one counts as endless. */
const MAX_DEPTH = 256

/**
 * Converts a value as JSON would, but replaces each function by a mark. Members that an instance inherits from its class count
 * as its own.
 */
export function describe(value: unknown, depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new RangeError(`it nests deeper than ${MAX_DEPTH}`)
  if (typeof value === 'function') return { [FUNCTION]: value.constructor.name }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => describe(item, depth + 1))
  const { toJSON } = value as { readonly toJSON?: unknown }
  if (typeof toJSON === 'function') return describe(Reflect.apply(toJSON, value, []), depth + 1)
  const members = keysOf(value).map((key) => [key, (value as Record<string, unknown>)[key]] as const)
  const present = members.filter(([, member]) => member !== undefined)
  return Object.fromEntries(present.map(([key, member]) => [key, describe(member, depth + 1)]))
}

function keysOf(value: object): readonly string[] {
  const keys = new Set(Object.keys(value))
  for (let from = Object.getPrototypeOf(value); isOfClass(from); from = Object.getPrototypeOf(from))
    for (const key of Object.getOwnPropertyNames(from)) if (key !== 'constructor') keys.add(key)
  return [...keys]
}

const isOfClass = (prototype: object | null): boolean =>
  typeof prototype?.constructor === 'function' &&
  /^class\b/.test(Function.prototype.toString.call(prototype.constructor))

/** Undoes `describe`. In place of each function stands a function of the same kind that throws. */
function revive(described: unknown): unknown {
  if (Array.isArray(described)) return described.map(revive)
  if (typeof described !== 'object' || described === null) return described
  if (FUNCTION in described) return described[FUNCTION] === 'AsyncFunction' ? asynchronous : absent
  return Object.fromEntries(Object.entries(described).map(([key, member]) => [key, revive(member)]))
}

const absent = (): never => {
  throw new Error('code of a provider module runs only in its own threads')
}
const asynchronous = async (): Promise<never> => absent()
