import { onTestFinished } from 'vitest'
import type { Task } from '../../src/domain/task.ts'
import type { TaskService } from '../../src/domain/task-service.ts'
import { createOpsListener } from '../../src/http/ops/ops-listener.ts'
import { type FakeProvider, type FakeProviderOptions, startFakeProvider } from '../support/fake-provider.ts'
import { callerOf, startTaskRig, type TaskRig, type TaskRigOptions } from '../support/task-rig.ts'
import { opsDefaults } from './ops-service.ts'

export interface TaskOps extends TaskRig {
  readonly provider: FakeProvider
  readonly url: string
  readonly get: (path: string, init?: RequestInit) => Promise<Response>
  readonly post: (path: string, body?: unknown, headers?: Record<string, string>) => Promise<Response>
  /** Tracks a task that the provider has; gives its id. */
  readonly track: (more?: object) => Promise<string>
  /** Every task that was asked to be shown, as it was answered in the end. */
  readonly shown: readonly Promise<Task>[]
  /** Resolves when so many have been asked for: they are being waited for by then. */
  readonly isAsked: (count?: number) => Promise<void>
}

export const NEVER = { max_wait_ms: 3_600_000 }

/** The ops listener over a store and a task service, whose source `ai` asks a fake provider; passes are the test's to make. */
export async function startTaskOps(
  options: FakeProviderOptions & Partial<Omit<TaskRigOptions, 'sources'>> = {},
): Promise<TaskOps> {
  const provider = await startFakeProvider(options)
  onTestFinished(() => provider.close())
  const rig = await startTaskRig({ ...options, sources: [{ call: callerOf(provider.url, 5_000) }] })
  const { service } = rig.tasks
  const shown: Promise<Task>[] = []
  const watchers: (() => void)[] = []
  const watched: TaskService = {
    ...service,
    show: (...args) => {
      const showing = service.show(...args)
      shown.push(showing)
      for (const watch of watchers.splice(0)) watch()
      return showing
    },
  }
  const listener = createOpsListener({ ...opsDefaults(rig.store), tasks: watched })
  const url = await listener.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(async () => {
    listener.server.closeAllConnections()
    await listener.close()
  })
  const get: TaskOps['get'] = (path, init) => fetch(url + path, init)
  const post: TaskOps['post'] = (path, body = {}, headers = {}) =>
    get(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  return {
    ...rig,
    provider,
    url,
    get,
    post,
    shown,
    track: async (more = {}) => {
      const id = provider.create()
      await post('/v1/tasks', { source: 'ai', task_id: id, ...more })
      return id
    },
    isAsked: async (count = 1) => {
      while (shown.length < count) await new Promise<void>((resolve) => watchers.push(resolve))
    },
  }
}

export const pathOf = (id: string, query = ''): string => `/v1/tasks/ai/${encodeURIComponent(id)}${query}`

// oxlint-disable-next-line typescript/no-explicit-any -- answers are asserted on field by field
export const jsonOf = async (answer: Response): Promise<any> => answer.json()
