import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import { postLines } from '../threads/thread-lines.ts'
import { describe, type FromLoading } from './load-modules.ts'
import { faultOf } from './module-fault.ts'
import { registerModuleHooks } from './module-hooks.ts'

/** Loads one provider module and posts what it exports; the service then ends this thread. */

async function load(): Promise<FromLoading> {
  const url = (workerData as { module: string }).module
  try {
    const module: { default?: unknown } = await import(url)
    // An error that nothing catches ends this thread before the next turn, and the service sees that.
    await setImmediate()
    return 'default' in module ? { kind: 'loaded', exported: describe(module.default) } : { kind: 'nothing' }
  } catch (error) {
    return { kind: 'failed', fault: await faultOf(fileURLToPath(url), error) }
  }
}

postLines()
registerModuleHooks()
void load().then((message) => parentPort?.postMessage(message))
