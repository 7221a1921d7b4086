import type { Worker } from 'node:worker_threads'

/** How much of its heap a thread may use. */
export interface HeapLimits {
  /** A thread that uses more is ended. Garbage that V8 has not collected yet counts too. */
  readonly maxMiB: number
  /**
   * The limit of V8, which a thread should never reach: see `watchHeap`. A map that doubles needs three times its memory for a
   * moment, and no map or array takes more than about 1 GiB.
   */
  readonly limitMiB: number
}

/** During a job, and between two jobs. */
const INTERVAL_MS = { busy: 20, idle: 250 }
const MIB = 1024 * 1024

/**
 * Calls `onFull` if the thread uses more than `maxMiB` of its heap, until the returned function is called. At its own limit V8
 * normally ends the thread alone; but if the thread allocates fast, or an array or map grows by a step that finds no room, V8
 * ends the whole process. Source: https://github.com/nodejs/node/issues/47224
 */
export function watchHeap(
  worker: Worker,
  { maxMiB }: HeapLimits,
  state: 'busy' | 'idle',
  onFull: () => void,
): () => void {
  let isReading = false
  let isStopped = false
  const read = async (): Promise<void> => {
    isReading = true
    // It rejects where the thread has ended.
    const heap = await worker.getHeapStatistics().catch(() => undefined)
    isReading = false
    // A reading that arrives late belongs to the job before.
    if (!isStopped && heap !== undefined && heap.used_heap_size > maxMiB * MIB) onFull()
  }
  const timer = setInterval(() => {
    if (!isReading) void read()
  }, INTERVAL_MS[state]).unref()
  return () => {
    isStopped = true
    clearInterval(timer)
  }
}
