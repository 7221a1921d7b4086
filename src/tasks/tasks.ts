import { HOUR_MS } from '../domain/clock.ts'
import type { ConnectedSource, SourceState } from '../domain/source.ts'
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
  readonly store: TaskStore & TaskEnds
  readonly sources: readonly ConnectedSource[]
  readonly reader: Pick<BodyReader, 'pollAnswer' | 'event' | 'taskId' | 'apiWithBody' | 'fingerprint'>
  readonly maxWaitMs: number
  readonly deadlineMs: number
  readonly telemetry: Pick<Telemetry, 'polled' | 'taskResolved'>
}

export interface Tasks {
  readonly service: TaskService
  readonly poller: Poller
  /** Must be called for each webhook of a source. */
  readonly webhookArrived: (source: string) => void
  readonly stateOf: (source: string) => Promise<SourceState>
  /** Ends all waits for tasks. */
  readonly closeWaiters: () => void
}

/** Connects the parts that tasks need. Does not start the poller. */
export function createTasks(options: TasksOptions): Tasks {
  const { store, sources, clock, log, telemetry } = options
  const waiters = new TaskWaiters((listener) => store.watchEnds(listener))
  const lastKept = async (source: string) => (await store.activity(source, clock())).lastWebhookAtMs
  const silence = new WebhookSilence(lastKept, clock, log)
  const submitter = new Submitter(options)
  const poller = new Poller(sources, { ...options, submitter })
  const byName = new Map(sources.map((each) => [each.name, each]))
  const pushes = (source: string): boolean => byName.get(source)?.provider.api?.tasks?.pushes !== false

  store.onTaskEnded((ended) => {
    waiters.ended({ ...ended, id: ended.id ?? null })
    if (ended.by !== undefined) telemetry.taskResolved(ended.source, ended.by)
    if (ended.by === 'poll' && pushes(ended.source)) void silence.endedByPoll(ended.source)
  })

  return {
    service: createTaskService({ ...options, sources: byName, pollers: poller.bySource, submitter, waiters }),
    poller,
    webhookArrived: (source) => silence.webhookArrived(source),
    closeWaiters: () => waiters.close(),
    stateOf: async (source) => {
      const silentSinceMs = await silence.silentSinceMs(source)
      const { lastWebhookAtMs, recovered } = await store.activity(source, clock() - HOUR_MS)
      return {
        // The last webhook may not have been stored, and a stored one may be older than this process.
        lastWebhookAtMs: silence.lastWebhookAtMs(source) ?? lastWebhookAtMs,
        recovered,
        breaker: poller.bySource.get(source)?.breaker() ?? null,
        silentSinceMs,
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

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all([...this.bySource.values()].map((poller) => poller.stop()))
  }
}
