import { afterAll, beforeAll, expect } from 'vitest'
import { type FakeProvider, startFakeProvider } from '../support/fake-provider.ts'
import { type CommandResult, run } from './run.ts'
import { type LocalService, startLocal } from './service.ts'

/** It stands in the provider's answers to what it refuses. */
const KEY = 'sk-echoed-by-the-provider'
/** The provider is not asked for it meanwhile. */
export const NEVER = ['--max-wait', '1h']

/** For the tests of a file: a service with a source `ai` that can ask a provider, and a source `bare` that cannot. */
export function shareTasks() {
  let service: LocalService
  let provider: FakeProvider
  beforeAll(async () => {
    provider = await startFakeProvider({ apiKey: KEY })
    service = await startLocal({
      SOURCES: 'ai,bare',
      SOURCE_BARE_PROVIDER: 'ai',
      SOURCE_BARE_SECRET: 'whsec_'.padEnd(50, 'a'),
      SOURCE_AI_API_URL: provider.url,
      SOURCE_AI_API_KEY: KEY,
      PUBLIC_URL: 'https://hooks.example',
      TASK_MAX_WAIT_MS: '0',
      POLL_INTERVAL_MS: '20',
      OPS_TOKEN: 'a-token-for-tests',
      LOG_LEVEL: 'info',
    })
  })
  afterAll(() => provider.close())

  const tasks = (args: readonly string[], input?: string): Promise<CommandResult> =>
    run(['tasks', ...args], service.environment, input)
  return {
    service: () => service,
    provider: () => provider,
    tasks,
    /** What a command that does not fail gives with --json. */
    json: async (args: readonly string[], input?: string) => {
      const { code, out, err } = await tasks([...args, '--json'], input)
      expect({ code, err }).toEqual({ code: 0, err: '' })
      return JSON.parse(out)
    },
  }
}

/** What a command shows of a task, by name. */
export const shown = (out: string): Record<string, string> =>
  Object.fromEntries(
    out
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/)),
  )
