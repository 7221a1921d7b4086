import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { MessagePort } from 'node:worker_threads'

/** A thread in which one thread of a store runs after the other (`threads.ts`). */
export interface Run {
  /** URL of the module that the thread is. */
  readonly module: string
  readonly workerData: unknown
  /** In place of `parentPort`. */
  readonly port: MessagePort
}

const threads: Omit<typeof import('node:worker_threads'), 'parentPort' | 'workerData'> & {
  parentPort: MessagePort | null
  workerData: unknown
} = createRequire(import.meta.url)('node:worker_threads')

let runs = 0
threads.parentPort?.on('message', ({ module, workerData, port }: Run) => {
  Object.assign(threads, { parentPort: port, workerData })
  syncBuiltinESMExports()
  // Under an address of its own the module runs again; what it imports is loaded already.
  runs++
  void import(`${module}?run=${runs}`)
})
