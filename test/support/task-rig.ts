import pino from 'pino'
import { onTestFinished } from 'vitest'
import type { Clock } from '../../src/domain/clock.ts'
import type { CallProvider } from '../../src/domain/outbound.ts'
import type { Source } from '../../src/domain/source.ts'
import type { OpenStore } from '../../src/domain/store.ts'
import { createCaller } from '../../src/outbound/caller.ts'
import { createInlineReader } from '../../src/pipeline/body-reader.ts'
import { createEventWriter } from '../../src/pipeline/event-writer.ts'
import { createPollAnswers } from '../../src/pipeline/poll-answers.ts'
import { compileRoutes } from '../../src/pipeline/routes.ts'
import ai from '../../src/providers/ai/provider.ts'
import { createTasks, type Tasks, type TasksOptions, watchTasks } from '../../src/tasks/tasks.ts'
import { connectedSource } from './connected-source.ts'
import { openEmptyStore } from './sqlite/store.ts'

export interface TaskRig {
  readonly store: OpenStore
  readonly tasks: Tasks
  /** `source/outcome` of each question. */
  readonly polled: string[]
  /** `source/by` of each task that ended by an event. */
  readonly resolved: string[]
  readonly logs: Record<string, unknown>[]
}

type SourceOptions = { readonly name?: string; readonly call?: CallProvider; readonly provider?: Source['provider'] }

export interface TaskRigOptions extends Partial<Omit<TasksOptions, 'store' | 'sources' | 'pollAnswers' | 'reader'>> {
  readonly sources: readonly SourceOptions[]
  /** Another rig's, to which this is a second poller. */
  readonly store?: OpenStore
  readonly clock?: Clock
}

/** Everything about tasks over a real store, without listeners and handlers: its loop is the test's. */
export async function startTaskRig(options: TaskRigOptions): Promise<TaskRig> {
  const { clock = Date.now } = options
  const store = options.store ?? (await openOwnStore(clock))
  const polled: string[] = []
  const resolved: string[] = []
  const logs: Record<string, unknown>[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void logs.push(JSON.parse(line)) })
  const ignore = (): void => {}
  const telemetry = {
    request: ignore,
    acknowledged: ignore,
    received: ignore,
    unhandled: ignore,
    processed: ignore,
    failed: ignore,
    started: () => undefined,
    dead: () => undefined,
    polled: (source: string, outcome: string) => void polled.push(`${source}/${outcome}`),
    drifted: () => undefined,
    taskResolved: (source: string, by: string) => void resolved.push(`${source}/${by}`),
  }
  const route = compileRoutes([{ name: 'end', types: ['task.*'] }])
  const reader = createInlineReader(route)
  const writeEvent = createEventWriter({
    append: (event) => store.append(event),
    telemetry,
    log,
    dispatch: { offer: () => undefined, take: ignore, wake: ignore },
  })
  const sources = options.sources.map(({ name = 'ai', call, provider = ai }) =>
    connectedSource({ name, provider, call }),
  )
  const pushes = (name: string): boolean =>
    sources.find((source) => source.name === name)?.provider.api?.tasks?.pushes !== false
  const watch = watchTasks({ store, pushes, clock, log, telemetry })
  const tasks = createTasks({
    maxWaitMs: 0,
    deadlineMs: 86_400_000,
    pollIntervalMs: 20,
    random: Math.random,
    monotonicMs: clock,
    ...options,
    store,
    reader,
    pollAnswers: createPollAnswers({ writeEvent, reader, withoutSecrets: (headers) => headers, clock }),
    sources,
    watch,
    clock,
    telemetry,
    log,
  })
  // Before the store, which is closed last.
  onTestFinished(() => tasks.poller.stop())
  return { store, tasks, polled, resolved, logs }
}

async function openOwnStore(clock: Clock): Promise<OpenStore> {
  const store = await openEmptyStore(clock)
  onTestFinished(() => store.close())
  return store
}

/** Calls a fake provider as the service would; closed with the test. */
export function callerOf(url: string, totalMs = 2_000, maxAnswerBytes = 65_536): CallProvider {
  const caller = createCaller({
    baseUrl: url,
    baseIsConfigured: true,
    version: 'test',
    maxAnswerBytes,
    timeouts: { connectMs: 1_000, totalMs },
  })
  onTestFinished(() => caller.close())
  return caller.call
}
