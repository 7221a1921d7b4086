import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { AI_SECRET } from '../support/ai-source.ts'
import { cpuSecondsOfFamily, familyOf } from '../support/family.ts'

/** A server in a process of its own, measured from outside. */
export interface Server {
  readonly child: ChildProcess
  readonly publicUrl: string
  readonly opsUrl: string
  stop(): Promise<void>
}

/** Where a server is to listen. */
export interface Ports {
  readonly public: number
  readonly ops: number
}

/** Two ports that are free now. */
export async function freePorts(): Promise<Ports> {
  const [one, other] = [createServer().listen(0, '127.0.0.1'), createServer().listen(0, '127.0.0.1')]
  await Promise.all([once(one, 'listening'), once(other, 'listening')])
  const ports = { public: (one.address() as AddressInfo).port, ops: (other.address() as AddressInfo).port }
  await Promise.all([once(one.close(), 'close'), once(other.close(), 'close')])
  return ports
}

/** Starts a program that listens on these ports, and waits until it does. */
export async function startServer(
  args: readonly string[],
  environment: Record<string, string>,
  ports: Ports,
): Promise<Server> {
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: String(ports.public), ...environment },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const exited = once(child, 'exit')
  const publicUrl = `http://127.0.0.1:${ports.public}`
  while (!(await isListening(publicUrl))) {
    if (child.exitCode !== null) throw new Error(`${args.join(' ')} ended with ${child.exitCode}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return {
    child,
    publicUrl,
    opsUrl: `http://127.0.0.1:${ports.ops}`,
    async stop() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

/** The checkout that is measured unless told otherwise. */
export const OWN_ROOT = join(import.meta.dirname, '../..')

export interface HoldfastOptions {
  /** The checkout whose service is started. */
  readonly root?: string
  /** What is started in place of `main.ts serve`. */
  readonly program?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

/** Holdfast as `npm start` has it, with source `ai` and the bench's handlers. */
export async function startHoldfast(
  databaseUrl: string,
  { root = OWN_ROOT, program = [join(root, 'src/main.ts'), 'serve'], environment = {} }: HoldfastOptions = {},
): Promise<Server> {
  const ports = await freePorts()
  return startServer(
    ['--max-semi-space-size=4', '--heap-growing-percent=50', '--no-parallel-scavenge', ...program],
    {
      NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/node'),
      MALLOC_ARENA_MAX: '2',
      MALLOC_TRIM_THRESHOLD_: '262144',
      OPS_PORT: String(ports.ops),
      // The yardstick logs nothing, and at `info` each event that no handler wants is a line.
      LOG_LEVEL: 'warn',
      SOURCES: 'ai',
      SOURCE_AI_SECRET: AI_SECRET,
      HANDLERS_DIR: join(import.meta.dirname, 'handlers'),
      DATABASE_URL: databaseUrl,
      ...environment,
    },
    ports,
  )
}

async function isListening(url: string): Promise<boolean> {
  try {
    await fetch(url)
    return true
  } catch {
    return false
  }
}

/** User and system time of a server and all its descendants, those included that have ended, in seconds. */
export const cpuSeconds = ({ child }: Server): number => cpuSecondsOfFamily(child.pid ?? 0)

/** The most memory that each process of the server ever held, added up, in MiB. */
export function peakRssMiB({ child }: Server): number {
  const peaks = familyOf(child.pid ?? 0).map(({ pid }) => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024
  })
  return peaks.reduce((sum, each) => sum + each, 0)
}
