import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { getCompileCacheDir } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { messageOf } from '../domain/errors.ts'
import type { EventJson } from '../http/schemas/events.ts'
import { expect, say } from './narration.ts'

/** The fields of a log line that the demonstration reads. */
interface LogLine {
  readonly msg?: string
  readonly uid?: string
  readonly handler?: string
  readonly attempt?: number
  readonly error?: string
  readonly retry_in_ms?: number
  /** What a handler wants the demonstration to print. */
  readonly say?: string
  readonly public?: string
  readonly ops?: string
}

/** The real service in a process of its own, and its log. */
export interface DemoService {
  readonly publicUrl: string
  readonly opsUrl: string
  /** Resolves with the first log line that the predicate accepts. Each line is given only once. */
  logged(accept: (line: LogLine) => boolean): Promise<LogLine>
  /** Gives the exit code; null if the signal ended it. Idempotent. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>
}

const MAX_PORTS = 3

/**
 * Starts `holdfast serve` in a directory, on free ports, with its own address as `PUBLIC_URL`. Kills the service when the signal is
 * aborted. If the service does not start, rejects with its error output.
 */
export async function startService(
  directory: string,
  environment: Readonly<Record<string, string>>,
  abort: AbortSignal,
): Promise<DemoService> {
  for (let tried = 1; ; tried++) {
    const port = await freePort()
    try {
      return await startAt(port, directory, environment, abort)
    } catch (error) {
      // Another process may have taken the port after `freePort` had found it free.
      if (tried === MAX_PORTS || !messageOf(error).includes('EADDRINUSE')) throw error
    }
  }
}

/** A port for the public listener. The configuration contains it in `PUBLIC_URL`, so it must be known before the service starts. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function startAt(
  port: number,
  directory: string,
  environment: Readonly<Record<string, string>>,
  abort: AbortSignal,
): Promise<DemoService> {
  const main = join(import.meta.dirname, '..', 'main.ts')
  const child: ChildProcess = spawn(process.execPath, [main, 'serve'], {
    cwd: directory,
    env: {
      ...environment,
      NODE_COMPILE_CACHE: getCompileCacheDir(),
      HOST: '127.0.0.1',
      PORT: String(port),
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      OPS_PORT: '0',
      HANDLERS_DIR: join(import.meta.dirname, 'handlers'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const kill = (): void => void child.kill('SIGKILL')
  abort.addEventListener('abort', kill)
  if (abort.aborted) kill()
  // Not `exit`: only at `close` has all output of the process been read.
  const exited = once(child, 'close').finally(() => abort.removeEventListener('abort', kill))
  const lines: LogLine[] = []
  const arrivals = new EventTarget()
  let errorOutput = ''
  child.stderr?.on('data', (text: Buffer) => {
    errorOutput += text.toString()
  })
  if (child.stdout !== null) {
    createInterface(child.stdout).on('line', (line) => {
      lines.push(line.startsWith('{') ? JSON.parse(line) : { msg: line })
      arrivals.dispatchEvent(new Event('line'))
    })
  }
  const ended = exited.then(() => Promise.reject(new Error(`the service ended: ${errorOutput.trim()}`)))
  ended.catch(() => {})

  async function logged(accept: (line: LogLine) => boolean): Promise<LogLine> {
    for (;;) {
      const at = lines.findIndex(accept)
      if (at >= 0) return lines.splice(at, 1)[0] as LogLine
      await Promise.race([new Promise((resolve) => arrivals.addEventListener('line', resolve, { once: true })), ended])
    }
  }

  const serving = await logged(({ msg }) => msg === 'holdfast is serving')
  return {
    publicUrl: serving.public ?? '',
    opsUrl: serving.ops ?? '',
    logged,
    async end(signal) {
      child.kill(signal)
      const [code] = await exited
      return code
    },
  }
}

/** The fields of an event that the demonstration reads. */
interface ShownEvent extends EventJson {
  readonly deliveries: readonly object[]
}

export async function ops<Body>(of: DemoService, path: string, init?: RequestInit): Promise<Body> {
  const response = await fetch(`${of.opsUrl}${path}`, init)
  expect(response.ok, `${path} to answer`)
  return (await response.json()) as Body
}

export const eventOf = (service: DemoService, uid: string): Promise<ShownEvent> => ops(service, `/v1/events/${uid}`)

/** Waits until a handler has logged a line about the event, and prints that line. Resolves with the handler's name. */
export async function handled(by: DemoService, uid: string): Promise<string | undefined> {
  const line = await by.logged((each) => each.uid === uid && each.say !== undefined)
  say(`  handler ${line.handler}, attempt ${line.attempt}: ${line.say}`)
  return line.handler
}
