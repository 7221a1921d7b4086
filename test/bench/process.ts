import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** A server in a process of its own, measured from outside. */
export interface Server {
  readonly child: ChildProcess
  readonly publicUrl: string
  readonly opsUrl: string
  stop(): Promise<void>
}

export async function startServer(args: readonly string[], environment: Record<string, string>): Promise<Server> {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const lines = createInterface(child.stdout)
  const serving = Promise.withResolvers<{ public: string; ops: string }>()
  lines.on('line', (line) => {
    if (line.includes('"holdfast is serving"')) serving.resolve(JSON.parse(line))
  })
  void exited.then(([code]) => serving.reject(new Error(`${args.join(' ')} ended with ${code}`)))
  const { public: publicUrl, ops: opsUrl } = await serving.promise
  return {
    child,
    publicUrl,
    opsUrl,
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

/** Linux: clock ticks per second of /proc/<pid>/stat, always 100 as user space sees it. */
const TICKS_PER_SECOND = 100

/** User and system time of all threads of a process, in seconds. */
export function cpuSeconds({ child }: Server): number {
  const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** The most memory that the process ever held, in MiB. */
export function peakRssMiB({ child }: Server): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024
}
