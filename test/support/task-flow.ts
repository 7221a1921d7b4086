import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, onTestFinished } from 'vitest'
import { eventually } from './eventually.ts'
import { type FakeProvider, type FakeProviderOptions, startFakeProvider } from './fake-provider.ts'
import { type LocalOptions, type LocalService, startLocal } from './local-service.ts'
import { handlersIn } from './service.ts'

/** A line of what handlers were given. */
export interface Handled {
  readonly handler: string
  readonly uid: string
  readonly type: string
  readonly task: string
  readonly origin: string
}

export interface TaskFlow {
  readonly service: LocalService
  readonly provider: FakeProvider
  readonly directory: string
  /** What handlers were given so far. */
  readonly handled: () => readonly Handled[]
  /** Resolves when as many have been handled of a task; gives them. */
  readonly handledOf: (taskId: string, count?: number) => Promise<readonly Handled[]>
  readonly track: (taskId: string, more?: object) => Promise<{ status: number; body: Record<string, unknown> }>
  // oxlint-disable-next-line typescript/no-explicit-any -- tasks are asserted on field by field
  readonly task: (taskId: string, waitSeconds?: number) => Promise<any>
  /** Starts the service again, in the same place, after it was stopped. */
  readonly restart: () => Promise<LocalService>
  /** Resolves when every delivery has succeeded or died. */
  readonly settled: () => Promise<void>
}

/** Both handlers write down what they are given, one line each. */
const handlerModule = (ledger: string): string => `
  import { appendFileSync } from 'node:fs'
  const note = (handler) => ({ uid, type, data, origin, task }) =>
    appendFileSync(${JSON.stringify(ledger)}, JSON.stringify({ handler, uid, type, task: data.task_id ?? task, origin }) + '\\n')
  export default (router) => {
    router.on(['task.completed', 'task.failed', 'task.cancelled', 'task.expired'], { name: 'one' }, note('one'))
    router.on('task.*', { name: 'all' }, note('all'))
  }
`

/** Polls of hundreds of tasks do not wait for each other. */
export const QUICK_POLLS = { pollsPerSecond: 1_000, concurrency: 32 }

/** Provider ai, at the pace that the test needs. */
const providerModule = (pace: typeof QUICK_POLLS): string => `
  import ai from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, '../../src/providers/ai/provider.ts')).href)}
  export default { ...ai, api: { ...ai.api, tasks: { ...ai.api.tasks, ...${JSON.stringify(pace)} } } }
`

export interface TaskFlowOptions extends FakeProviderOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly tuning?: LocalOptions['tuning']
  /** Provider ai is then a module of a user, which runs in threads of its own; absent: the shipped one, at its own pace. */
  readonly pace?: typeof QUICK_POLLS
  /** Takes what is to be done at the end, in this order; when the test is over unless given. */
  readonly onEnd?: (end: () => unknown) => void
}

/** One for all tests of a file or a group: tasks have ids of their own, and a provider that misbehaves does so for a test. */
export function shareTaskFlow(options: TaskFlowOptions = {}): () => TaskFlow {
  const ends: (() => unknown)[] = []
  let shared: TaskFlow | undefined
  beforeAll(async () => {
    shared = await startTaskFlow({ ...options, onEnd: (end) => ends.unshift(end) })
  })
  afterEach(() => {
    shared?.provider.misbehave(options.misbehave ?? (() => undefined))
    shared?.provider.misbehaveOnSubmit(options.misbehaveOnSubmit ?? (() => undefined))
  })
  afterAll(async () => {
    for (const end of ends) await end()
  })
  return () => {
    if (shared === undefined) throw new Error('not started')
    return shared
  }
}

/** The whole service with source `ai`, asking a fake provider, and handlers that write down what they are given. */
export async function startTaskFlow(options: TaskFlowOptions = {}): Promise<TaskFlow> {
  const { onEnd = onTestFinished } = options
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-'))
  onEnd(() => rmSync(directory, { recursive: true, force: true }))
  const provider = await startFakeProvider({ apiKey: 'sk-of-the-test', ...options })
  onEnd(() => provider.close())
  const ledger = join(directory, 'handled.jsonl')
  appendFileSync(ledger, '')
  const providers = options.pace && handlersIn(join(directory, 'providers'), { 'ai.ts': providerModule(options.pace) })
  const start = (): Promise<LocalService> =>
    startLocal(
      {
        HANDLERS_DIR: handlersIn(directory, { 'note.ts': handlerModule(ledger) }),
        ...(providers !== undefined && { PROVIDERS_DIR: providers }),
        DATABASE_URL: `file:${join(directory, 'data/holdfast.db')}`,
        SOURCE_AI_API_URL: provider.url,
        SOURCE_AI_API_KEY: 'sk-of-the-test',
        PUBLIC_URL: 'http://127.0.0.1:9',
        HANDLER_PROCESSES: '1',
        TASK_MAX_WAIT_MS: '0',
        POLL_INTERVAL_MS: '20',
        ...options.environment,
      },
      { directory, onEnd, ...(options.tuning && { tuning: options.tuning }) },
    )
  const service = await start()
  const handled = (): readonly Handled[] =>
    readFileSync(ledger, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Handled)
  return {
    service,
    provider,
    directory,
    handled,
    restart: start,
    handledOf: (taskId, count = 2) =>
      eventually(
        async () => handled().filter(({ task }) => task === taskId),
        (found) => found.length >= count,
      ),
    track: (taskId, more = {}) => service.post('/v1/tasks', { source: 'ai', task_id: taskId, ...more }),
    task: (taskId, waitSeconds = 0) =>
      service.api(`/v1/tasks/ai/${encodeURIComponent(taskId)}${waitSeconds > 0 ? `?wait=${waitSeconds}` : ''}`),
    settled: async () => {
      await eventually(
        async () =>
          ((await service.api('/v1/deliveries?state=pending')).items.length as number) +
          ((await service.api('/v1/deliveries?state=running')).items.length as number),
        (open) => open === 0,
        30_000,
      )
    },
  }
}
