import type { Worker } from 'node:worker_threads'

/** How much of its heap a thread may use. */
export interface HeapLimits {
  /** A job that uses more is ended. */
  readonly maxMiB: number
  /** The limit of V8, which a job should never reach: see `watchHeap`. */
  readonly limitMiB: number
}

const INTERVAL_MS = 20
const MIB = 1024 * 1024

/**
 * Calls `onFull` if the thread uses more than `maxMiB` of its heap, until the returned function is called. At its own limit V8
 * normally ends the thread alone; but if the thread allocates fast, or an array grows by a step that finds no room, V8 ends the
 * whole process. Source: https://github.com/nodejs/node/issues/47224
 */
export function watchHeap(worker: Worker, { maxMiB }: HeapLimits, onFull: () => void): () => void {
  let isReading = false
  const read = async (): Promise<void> => {
    isReading = true
    // It rejects where the thread has ended.
    const heap = await worker.getHeapStatistics().catch(() => undefined)
    isReading = false
    if (heap !== undefined && heap.used_heap_size > maxMiB * MIB) onFull()
  }
  const timer = setInterval(() => {
    if (!isReading) void read()
  }, INTERVAL_MS).unref()
  return () => clearInterval(timer)
}
