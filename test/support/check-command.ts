import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { checkHoldfast } from '../../src/app/app.ts'
import { readConfig } from '../../src/app/config.ts'
import { createLog } from '../../src/log/log.ts'
import { AI_SECRET } from './ai-source.ts'
import { CATALOGUE_HANDLERS, mainFile } from './service.ts'

interface Checked {
  readonly code: number
  readonly ok: boolean
  readonly faults: readonly string[]
  readonly warnings: readonly string[]
}

const SETTINGS = { SOURCES: 'ai', SOURCE_AI_SECRET: AI_SECRET, HANDLERS_DIR: CATALOGUE_HANDLERS }

/** Does what `holdfast check` does, within this process and its working directory; with source `ai` unless told otherwise. */
export async function checkWithin(environment: Readonly<Record<string, string | undefined>>) {
  return checkHoldfast(readConfig({ ...SETTINGS, HANDLER_PROCESSES: '1', ...environment }), createLog('silent'))
}

/** Runs `holdfast check --json` in a directory, as a process of its own; with source `ai` unless told otherwise. */
export async function check(
  directory: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): Promise<Checked> {
  const env = { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }
  const running = promisify(execFile)(process.execPath, [mainFile, 'check', '--json'], {
    cwd: directory,
    env: { ...env, ...SETTINGS, ...environment },
  })
  const ended = await running.then(
    ({ stdout }) => ({ code: 0, stdout }),
    ({ code, stdout }: { readonly code: number; readonly stdout: string }) => ({ code, stdout }),
  )
  return { code: ended.code, ...JSON.parse(ended.stdout) }
}
