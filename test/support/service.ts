import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { AI_SECRET } from './ai-source.ts'

export const mainFile = join(import.meta.dirname, '../../src/main.ts')

/** Handlers for all types of the catalogue: tests do not depend on the user's modules in `src/handlers`. */
export const CATALOGUE_HANDLERS = join(import.meta.dirname, 'handlers')

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string }

export interface ApiRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface Service {
  readonly publicUrl: string
  readonly opsUrl: string
  readonly child: ChildProcess
  readonly directory: string
  readonly logs: readonly LogLine[]
  /** Resolves with the first line, past or to come, that the predicate accepts. */
  logged(predicate: (line: LogLine) => boolean): Promise<LogLine>
  /** Asks the ops API; gives the parsed body. Rejects if the answer is no 2xx. */
  // oxlint-disable-next-line typescript/no-explicit-any -- answers are asserted on field by field
  api(path: string, init?: ApiRequest): Promise<any>
  /** Ends it with SIGTERM; gives the exit code. */
  stop(): Promise<number | null>
  /** Ends it with SIGKILL. */
  kill(): Promise<void>
}

type ServiceProcess = ChildProcessByStdio<null, Readable, Readable>

/** A directory that is gone when the test is over; outside of a test, `onEnd` is `afterAll`. */
export function temporaryDirectory(onEnd: (end: () => void) => void = onTestFinished): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-'))
  onEnd(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Handler modules, by file name, in a folder of the directory; gives the folder. */
export function handlersIn(directory: string, modules: Record<string, string>): string {
  const handlers = join(directory, 'handlers')
  mkdirSync(handlers, { recursive: true })
  for (const [name, text] of Object.entries(modules)) writeFileSync(join(handlers, name), text)
  return handlers
}

/** The lines of its log as they come. Waiting for a line rejects when the process ends before it. */
function readLog(child: ServiceProcess, exited: Promise<unknown>): Pick<Service, 'logs' | 'logged'> {
  const logs: LogLine[] = []
  const watchers = new Set<() => void>()
  const gone = Promise.withResolvers<never>()
  gone.promise.catch(() => {})
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  createInterface(child.stdout).on('line', (line) => {
    logs.push(parseLine(line))
    for (const watch of watchers) watch()
  })
  void exited.then(() => gone.reject(new Error(`the service has ended: ${errors}${JSON.stringify(logs.slice(-5))}`)))

  async function logged(predicate: (line: LogLine) => boolean): Promise<LogLine> {
    const found = Promise.withResolvers<LogLine>()
    const watch = (): void => {
      const line = logs.find(predicate)
      if (line !== undefined) found.resolve(line)
    }
    watchers.add(watch)
    watch()
    try {
      return await Promise.race([found.promise, gone.promise])
    } finally {
      watchers.delete(watch)
    }
  }
  return { logs, logged }
}

/** A line that is not JSON becomes the `text` of one. */
function parseLine(line: string): LogLine {
  try {
    return line.startsWith('{') ? JSON.parse(line) : { text: line }
  } catch {
    return { text: line }
  }
}

/**
 * Starts the real service as a process of its own, on ports of its own, with source `ai` unless told otherwise. It is
 * gone when the test is over.
 */
export function startService(
  environment: Readonly<Record<string, string>> = {},
  directory = temporaryDirectory(),
  command: readonly string[] = [process.execPath],
  subcommand: 'serve' | 'dev' = 'serve',
): Promise<Service> {
  return startProgram([...command, mainFile, subcommand], directory, {
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
    SOURCES: 'ai',
    SOURCE_AI_SECRET: AI_SECRET,
    DATABASE_URL: `file:${join(directory, 'data/holdfast.db')}`,
    HANDLERS_DIR: CATALOGUE_HANDLERS,
    ...environment,
  })
}

/**
 * Starts the real service by any command, on ports of its own. `isGroup`: signals go to all processes that the command starts, as
 * they do from a terminal; else only to the first.
 */
export async function startProgram(
  [program = '', ...args]: readonly string[],
  directory: string,
  environment: Readonly<Record<string, string | undefined>>,
  isGroup = false,
): Promise<Service> {
  const child = spawn(program, args, {
    cwd: directory,
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: '0', OPS_PORT: '0', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: isGroup,
  })
  const signal = (name: NodeJS.Signals): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    process.kill(isGroup ? -child.pid : child.pid, name)
  }
  // Not `exit`: on `close`, its last lines have been read too.
  const exited = once(child, 'close')
  onTestFinished(async () => {
    signal('SIGKILL')
    await exited
  })
  const { logs, logged } = readLog(child, exited)
  const serving = await logged(({ msg }) => msg === 'holdfast is serving')
  const opsUrl = String(serving.ops)
  return {
    publicUrl: String(serving.public),
    opsUrl,
    child,
    directory,
    logs,
    logged,
    async api(path, init = {}) {
      const { OPS_TOKEN: token } = environment
      const answer = await fetch(`${opsUrl}${path}`, {
        ...init,
        headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...init.headers },
      })
      if (!answer.ok) throw new Error(`${init.method ?? 'GET'} ${path}: ${answer.status} ${await answer.text()}`)
      return answer.json()
    },
    async stop() {
      signal('SIGTERM')
      const [code] = await exited
      return code
    },
    async kill() {
      signal('SIGKILL')
      await exited
    },
  }
}
