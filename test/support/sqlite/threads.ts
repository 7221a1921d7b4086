import { EventEmitter } from 'node:events'
import { getCompileCacheDir } from 'node:module'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { Run } from './thread.ts'

/** Threads that no store uses now. */
const idle: Worker[] = []

/** A thread of a store, in a thread that ran that of an earlier store: the modules of a store take longer to load than a test runs. */
export function lendThread(module: string, workerData: unknown): Worker {
  const host = idle.pop() ?? startHost()
  const { port1: port, port2 } = new MessageChannel()
  const thread = Object.assign(new EventEmitter(), { postMessage: port.postMessage.bind(port) })
  const fail = (error: unknown): boolean => thread.emit('error', error)
  port.on('message', (message) => thread.emit('message', message))
  port.once('close', () => {
    host.off('error', fail)
    idle.push(host)
    thread.emit('exit', 0)
  })
  host.on('error', fail)
  host.postMessage({ module, workerData, port: port2 } satisfies Run, [port2])
  return thread as unknown as Worker
}

function startHost(): Worker {
  const cache = getCompileCacheDir()
  const host = new Worker(new URL('./thread.ts', import.meta.url), {
    execArgv: [],
    env: cache === undefined ? {} : { NODE_COMPILE_CACHE: cache },
  })
  host.unref()
  return host
}
