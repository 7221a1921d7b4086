import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { getCompileCacheDir } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { messageOf } from '../domain/errors.ts'

/** What the demonstration reads of a line of log. */
export interface LogLine {
  readonly msg?: string
  readonly uid?: string
  readonly handler?: string
  readonly attempt?: number
  readonly error?: string
  readonly retry_in_ms?: number
  /** What a handler wants to be told to whoever watches. */
  readonly say?: string
  readonly public?: string
  readonly ops?: string
}

/** The real service in a process of its own, and what it logs. */
export interface DemoService {
  readonly publicUrl: string
  readonly opsUrl: string
  /** Resolves with the next line that the predicate accepts, counting from the last one it gave. */
  logged(accept: (line: LogLine) => boolean): Promise<LogLine>
  /** Gives the exit code; null if the signal ended it. Idempotent. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>
}

const MAX_PORTS = 3

/**
 * Starts `holdfast serve` in a directory, on free ports, with its own address as `PUBLIC_URL`; it is killed when the
 * signal is aborted. Rejects with what it said if it does not come up.
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
      // Between the look and the start somebody else may have taken it.
      if (tried === MAX_PORTS || !messageOf(error).includes('EADDRINUSE')) throw error
    }
  }
}

/** The public address has to be known before the service starts, since its configuration names it. */
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
  // Closed, not only exited: by then all that it said is here.
  const exited = once(child, 'close').finally(() => abort.removeEventListener('abort', kill))
  const lines: LogLine[] = []
  const heard = new EventTarget()
  let said = ''
  child.stderr?.on('data', (text: Buffer) => {
    said += text.toString()
  })
  if (child.stdout !== null) {
    createInterface(child.stdout).on('line', (line) => {
      lines.push(line.startsWith('{') ? JSON.parse(line) : { msg: line })
      heard.dispatchEvent(new Event('line'))
    })
  }
  const gone = exited.then(() => Promise.reject(new Error(`the service ended: ${said.trim()}`)))
  gone.catch(() => {})

  async function logged(accept: (line: LogLine) => boolean): Promise<LogLine> {
    for (;;) {
      const at = lines.findIndex(accept)
      if (at >= 0) return lines.splice(at, 1)[0] as LogLine
      await Promise.race([new Promise((resolve) => heard.addEventListener('line', resolve, { once: true })), gone])
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
