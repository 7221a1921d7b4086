import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { AI_SECRET } from './ai-source.ts'
import { CATALOGUE_HANDLERS, mainFile } from './service.ts'

interface Checked {
  readonly code: number
  readonly ok: boolean
  readonly faults: readonly string[]
  readonly warnings: readonly string[]
}

/** Runs `holdfast check --json` in a directory, as a process of its own; with source `ai` unless told otherwise. */
export async function check(
  directory: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): Promise<Checked> {
  const env = { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }
  const settings = { SOURCES: 'ai', SOURCE_AI_SECRET: AI_SECRET, HANDLERS_DIR: CATALOGUE_HANDLERS, ...environment }
  const running = promisify(execFile)(process.execPath, [mainFile, 'check', '--json'], {
    cwd: directory,
    env: { ...env, ...settings },
  })
  const ended = await running.then(
    ({ stdout }) => ({ code: 0, stdout }),
    ({ code, stdout }: { readonly code: number; readonly stdout: string }) => ({ code, stdout }),
  )
  return { code: ended.code, ...JSON.parse(ended.stdout) }
}
