import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { startHoldfast } from '../../src/holdfast.ts'
import { createLog } from '../../src/log.ts'
import { AI_SECRET } from '../support/ai-source.ts'

export interface LocalService {
  readonly publicUrl: string
  readonly directory: string
  /** In which a command finds it. */
  readonly environment: Record<string, string>
  /** The parsed answer of its ops API. */
  // biome-ignore lint/suspicious/noExplicitAny: answers are asserted on field by field
  api(path: string): Promise<any>
  stop(): Promise<void>
}

/** The whole service within this process, for all tests of a file; it is gone after the last of them. */
export async function startLocal(given: Record<string, string> = {}, place?: string): Promise<LocalService> {
  const directory = place ?? mkdtempSync(join(tmpdir(), 'holdfast-'))
  const environment: Record<string, string> = {
    HOST: '127.0.0.1',
    SOURCES: 'ai',
    SOURCE_AI_SECRET: AI_SECRET,
    DATABASE_URL: `file:${join(directory, 'holdfast.db')}`,
    SHUTDOWN_GRACE_MS: '1000',
    LOG_LEVEL: 'silent',
    ...given,
  }
  const read = readConfig({ ...environment, PORT: '0', OPS_PORT: '0' })
  const { publicUrl, opsUrl, stop } = await startHoldfast(read, createLog('silent'))
  afterAll(async () => {
    await stop()
    rmSync(directory, { recursive: true, force: true })
  })
  const headers = environment.OPS_TOKEN === undefined ? {} : { authorization: `Bearer ${environment.OPS_TOKEN}` }
  return {
    publicUrl,
    directory,
    environment: { ...environment, PORT: new URL(publicUrl).port, OPS_PORT: new URL(opsUrl).port },
    api: async (path) => (await fetch(`${opsUrl}${path}`, { headers })).json(),
    stop,
  }
}
