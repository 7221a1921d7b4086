import { parentPort, workerData } from 'node:worker_threads'
import type { PostgresTarget } from '../shared/database-url.ts'
import { Connections } from './connections.ts'
import { createIndexBatch } from './payload-index.ts'
import { createScanEvents, type ScanEvents } from './scan-events.ts'
import type { FromScanThread, ToScanThread } from './scanner.ts'

/** The thread that reads bodies in searches, with connections of its own, so that no search delays the main thread. */

const port = parentPort
if (port === null) throw new Error('scan-thread.ts runs as a worker thread')
const connections = new Connections((workerData as { target: PostgresTarget }).target)
const scan: ScanEvents = createScanEvents(connections)
const indexBatch = createIndexBatch(connections)

port.on('message', (message: ToScanThread) => {
  if (message === 'close') void connections.close().then(() => port.close())
  else void answer(message).then((reply) => port.postMessage(reply))
})

async function answer({ id, args }: Exclude<ToScanThread, 'close'>): Promise<FromScanThread> {
  try {
    return { id, found: await (args === undefined ? indexBatch() : scan(...args)) }
  } catch (error) {
    return { id, failed: error instanceof Error ? error.message : String(error) }
  }
}
