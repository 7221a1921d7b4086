import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import pino from 'pino'
import { onTestFinished } from 'vitest'
import { type Holdfast, startHoldfast } from '../../src/app/app.ts'
import { readConfig } from '../../src/app/config.ts'
import { rereadConfig } from '../../src/app/reread.ts'
import type { Tuning } from '../../src/app/tuning.ts'
import { AI_SECRET } from './ai-source.ts'
import { CATALOGUE_HANDLERS } from './service.ts'
import { memoryDirectory } from './sqlite/store.ts'
import { lendThread } from './sqlite/threads.ts'

export interface LocalService {
  readonly publicUrl: string
  readonly opsUrl: string
  readonly directory: string
  /** In which a command finds it. */
  readonly environment: Record<string, string>
  readonly logs: Record<string, unknown>[]
  /** The parsed answer of its ops API, whatever its status. */
  // oxlint-disable-next-line typescript/no-explicit-any -- answers are asserted on field by field
  api(path: string, init?: RequestInit): Promise<any>
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<{ status: number; body: never }>
  /** What a reload of the configuration reads. */
  readonly configured: Record<string, string>
  reload: Holdfast['reload']
  reloadConfig: Holdfast['reloadConfig']
  stop(): Promise<void>
}

export interface LocalOptions {
  readonly tuning?: Tuning
  readonly directory?: string
  /** How it is ended; when the test is over unless given. */
  readonly onEnd?: (end: () => Promise<void>) => void
}

/** The whole service within this process. */
export async function startLocal(
  given: Readonly<Record<string, string>> = {},
  { tuning = {}, directory = memoryDirectory(), onEnd = onTestFinished }: LocalOptions = {},
): Promise<LocalService> {
  const environment: Record<string, string> = {
    HOST: '127.0.0.1',
    SOURCES: 'ai',
    SOURCE_AI_SECRET: AI_SECRET,
    DATABASE_URL: `file:${join(directory, 'holdfast.db')}`,
    HANDLERS_DIR: CATALOGUE_HANDLERS,
    SHUTDOWN_GRACE_MS: '1000',
    // Each takes longer to start than most tests.
    HANDLER_PROCESSES: '1',
    LOG_LEVEL: 'info',
    ...given,
  }
  const logs: Record<string, unknown>[] = []
  const lines = new PassThrough()
  lines.on('data', (line) => logs.push(JSON.parse(String(line))))
  const log = {
    log: pino({ level: environment.LOG_LEVEL ?? 'info' }, lines),
    keepOut: () => {},
    dropped: () => 0,
    flush: () => {},
  }
  const variables = () => ({ ...environment, LOG_LEVEL: 'silent', PORT: '0', OPS_PORT: '0' })
  const holdfast = await startHoldfast(
    readConfig(variables()),
    log,
    { startStoreThread: lendThread, ...tuning },
    (...before) => rereadConfig(...before, variables),
  )
  const { publicUrl, opsUrl, reload, reloadConfig, stop } = holdfast
  onEnd(async () => {
    await stop()
    rmSync(directory, { recursive: true, force: true })
  })
  const headers: Record<string, string> =
    environment.OPS_TOKEN === undefined ? {} : { authorization: `Bearer ${environment.OPS_TOKEN}` }
  const request = async (path: string, init: RequestInit = {}) =>
    fetch(`${opsUrl}${path}`, { ...init, headers: { ...headers, ...(init.headers as Record<string, string>) } })
  return {
    publicUrl,
    opsUrl,
    directory,
    environment: { ...environment, PORT: new URL(publicUrl).port, OPS_PORT: new URL(opsUrl).port },
    logs,
    api: async (path, init) => (await request(path, init)).json(),
    post: async (path, body = {}, more = {}) => {
      const answer = await request(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...more },
        body: JSON.stringify(body),
      })
      return { status: answer.status, body: (await answer.json()) as never }
    },
    configured: environment,
    reload,
    reloadConfig,
    stop,
  }
}
