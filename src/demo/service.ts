import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

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
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

/** Starts `holdfast serve` in a directory, on free ports. Rejects with what it said if it does not come up. */
export async function startService(
  directory: string,
  environment: Readonly<Record<string, string>>,
): Promise<DemoService> {
  const main = join(import.meta.dirname, '..', 'main.ts')
  const child: ChildProcess = spawn(process.execPath, [main, 'serve'], {
    cwd: directory,
    env: {
      ...environment,
      HOST: '127.0.0.1',
      PORT: '0',
      OPS_PORT: '0',
      HANDLERS_DIR: join(import.meta.dirname, 'handlers'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit')
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
  const gone = exited.then(() => Promise.reject(new Error(`the service ended: ${said}`)))
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
      await exited
    },
  }
}
