import { HOUR_MS } from '../domain/clock.ts'
import type { BreakerState, ConnectedSource, SourceState } from '../domain/source.ts'
import type { TaskEnds } from '../domain/task-ends.ts'
import type { TaskService } from '../domain/task-service.ts'
import type { TaskStore } from '../domain/task-store.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import type { BodyReader } from '../pipeline/body-reader.ts'
import { SourcePoller, type SourcePollerOptions } from './source-poller.ts'
import { Submitter } from './submit.ts'
import { createTaskService } from './task-service.ts'
import { TaskWaiters } from './task-waiters.ts'
import { WebhookSilence } from './webhook-silence.ts'

export interface TasksOptions extends Omit<SourcePollerOptions, 'submitter'> {
  readonly store: TaskStore
  readonly sources: readonly ConnectedSource[]
  readonly reader: Pick<BodyReader, 'pollAnswer' | 'event' | 'taskId' | 'apiWithBody' | 'fingerprint'>
  readonly maxWaitMs: number
  readonly deadlineMs: number
  readonly watch: TaskWatch
}

export interface Tasks {
  readonly service: TaskService
  readonly poller: Poller
  readonly stateOf: (source: string) => Promise<SourceState>
  /** The circuit breaker of the calls to the provider of a source; null: the provider cannot be called. */
  readonly breakerOf: (source: string) => BreakerState | null
}

interface TaskWatchOptions extends Pick<TasksOptions, 'clock' | 'log'> {
  readonly store: TaskStore & TaskEnds
  /** Whether the provider of a source reports the ends of tasks by webhook. */
  readonly pushes: (source: string) => boolean
  readonly telemetry: Pick<Telemetry, 'taskResolved'>
}

/** What outlives a reload: the callers that wait for tasks, and what is known about the webhooks of each source. */
export interface TaskWatch {
  readonly waiters: TaskWaiters
  readonly silence: WebhookSilence
}

/** Watches the ends of tasks in the store. Must be called once for a store. */
export function watchTasks({ store, pushes, clock, log, telemetry }: TaskWatchOptions): TaskWatch {
  const waiters = new TaskWaiters((listener) => store.watchEnds(listener))
  const lastKept = async (source: string) => (await store.activity(source, clock())).lastWebhookAtMs
  const silence = new WebhookSilence(lastKept, clock, log)
  store.onTaskEnded((ended) => {
    waiters.ended({ ...ended, id: ended.id ?? null })
    if (ended.by !== undefined) telemetry.taskResolved(ended.source, ended.by)
    if (ended.by === 'poll' && pushes(ended.source)) void silence.endedByPoll(ended.source)
  })
  return { waiters, silence }
}

/** Connects the parts that tasks need. Does not start the poller. */
export function createTasks(options: TasksOptions): Tasks {
  const { store, sources, clock, watch } = options
  const { waiters, silence } = watch
  const submitter = new Submitter(options)
  const poller = new Poller(sources, { ...options, submitter })
  const breakerOf = (source: string) => poller.bySource.get(source)?.breaker() ?? null
  const byName = new Map(sources.map((each) => [each.name, each]))
  return {
    service: createTaskService({ ...options, sources: byName, pollers: poller.bySource, submitter, waiters }),
    poller,
    breakerOf,
    stateOf: async (source) => {
      const silentSinceMs = await silence.silentSinceMs(source)
      const { lastWebhookAtMs, recovered, stuck } = await store.activity(source, clock() - HOUR_MS)
      return {
        // The last webhook may not have been stored, and a stored one may be older than this process.
        lastWebhookAtMs: silence.lastWebhookAtMs(source) ?? lastWebhookAtMs,
        recovered,
        breaker: breakerOf(source),
        outage: poller.bySource.get(source)?.outage(),
        silentSinceMs,
        stuck,
      }
    },
  }
}

/** Polls stale tasks and ends expired tasks of every source, at each `POLL_INTERVAL_MS`. */
class Poller {
  readonly bySource: ReadonlyMap<string, SourcePoller>
  readonly #intervalMs: number
  #timer: NodeJS.Timeout | undefined

  constructor(sources: readonly ConnectedSource[], options: SourcePollerOptions) {
    this.#intervalMs = options.pollIntervalMs
    this.bySource = new Map(sources.map((source) => [source.name, new SourcePoller(source, options)]))
  }

  /** Makes a pass now and at each interval. A source whose last pass still runs is skipped. */
  start(): void {
    void this.pass()
    this.#timer = setInterval(() => void this.pass(), this.#intervalMs)
  }

  /** Makes one pass over every source. Resolves when all passes are over. */
  async pass(): Promise<void> {
    await Promise.all([...this.bySource.values()].map((poller) => poller.pass()))
  }

  /** Begins no more polls, and lets the open ones end. */
  async finish(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all([...this.bySource.values()].map((poller) => poller.finish()))
  }

  /** Begins no more polls, and breaks off the open ones. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all([...this.bySource.values()].map((poller) => poller.stop()))
  }
}
