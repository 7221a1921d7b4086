import { EventEmitter } from 'node:events'
import { getCompileCacheDir } from 'node:module'
import { MessageChannel, type Transferable, Worker } from 'node:worker_threads'
import type { Run } from './thread.ts'

/** Threads that no store uses now. */
const idle: Worker[] = []
/** Also where a thread lends others in its place (`thread.ts`). */
const Host = Worker

/** A thread of a store, in a thread that ran that of an earlier store: the modules of a store take longer to load than a test runs. */
export function lendThread(script: URL, workerData: unknown, transferList: readonly Transferable[] = []): Worker {
  const host = idle.pop() ?? startHost()
  const { port1: port, port2 } = new MessageChannel()
  const thread = Object.assign(new EventEmitter(), {
    postMessage: port.postMessage.bind(port),
    terminate: () => host.terminate(),
  })
  const fail = (error: unknown): boolean => thread.emit('error', error)
  const end = (code: number): void => {
    host.off('error', fail).off('exit', end)
    thread.emit('exit', code)
  }
  port.on('message', (message) => thread.emit('message', message))
  port.once('close', () => {
    // Where the host itself ended, it is lent no more.
    if (host.threadId < 0) return
    idle.push(host)
    end(0)
  })
  host.on('error', fail).on('exit', end)
  host.postMessage({ module: script.href, workerData, port: port2 } satisfies Run, [port2, ...transferList])
  return thread as unknown as Worker
}

function startHost(): Worker {
  const cache = getCompileCacheDir()
  const host = new Host(new URL('./thread.ts', import.meta.url), {
    execArgv: [],
    env: cache === undefined ? {} : { NODE_COMPILE_CACHE: cache },
  })
  host.unref()
  return host
}
