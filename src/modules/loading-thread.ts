import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../domain/errors.ts'
import { postLines } from '../threads/thread-lines.ts'
import { describe, type FromLoading } from './load-modules.ts'

/** Loads one provider module and posts what it exports; the service then ends this thread. */

async function load(): Promise<FromLoading> {
  try {
    const module: { default?: unknown } = await import((workerData as { module: string }).module)
    return 'default' in module ? { kind: 'loaded', exported: describe(module.default) } : { kind: 'nothing' }
  } catch (error) {
    return { kind: 'failed', error: messageOf(error) }
  }
}

postLines()
void load().then((message) => parentPort?.postMessage(message))
