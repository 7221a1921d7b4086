import { createRequire, syncBuiltinESMExports } from 'node:module'
import { MessagePort, type Transferable, type WorkerOptions } from 'node:worker_threads'
import { lendThread } from './threads.ts'

/** A thread in which one thread of a store runs after the other (`threads.ts`). */
export interface Run {
  /** URL of the module that the thread is. */
  readonly module: string
  readonly workerData: unknown
  /** In place of `parentPort`. */
  readonly port: MessagePort
}

const threads: Omit<typeof import('node:worker_threads'), 'parentPort' | 'workerData' | 'Worker'> & {
  parentPort: MessagePort | null
  workerData: unknown
  Worker: unknown
} = createRequire(import.meta.url)('node:worker_threads')

/** The threads that it starts itself are lent too. */
threads.Worker = function startThread(script: URL, { workerData, transferList }: WorkerOptions) {
  return lendThread(script, workerData, transferList as readonly Transferable[])
}

let runs = 0
threads.parentPort?.on('message', ({ module, workerData, port }: Run) => {
  Object.assign(threads, { parentPort: port, workerData })
  syncBuiltinESMExports()
  // A thread ends with the port that it listens to.
  const ownPort = (workerData as { port?: unknown }).port
  if (ownPort instanceof MessagePort) ownPort.once('close', () => port.close())
  // Under an address of its own the module runs again; what it imports is loaded already.
  runs++
  void import(`${module}?run=${runs}`)
})
