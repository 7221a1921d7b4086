import type { Logger } from 'pino'
import type { Clock } from '../domain/clock.ts'
import type { ConnectedSource, SourceState } from '../domain/source.ts'
import type { TaskEnds } from '../domain/task-ends.ts'
import type { TaskService } from '../domain/task-service.ts'
import type { TaskStore } from '../domain/task-store.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import type { BodyReader } from '../pipeline/body-reader.ts'
import type { PollAnswers } from '../pipeline/poll-answers.ts'
import type { ProviderReaders } from '../pipeline/provider-readers.ts'
import { Poller } from './poller.ts'
import { createSubmitter } from './submit.ts'
import { createTaskService } from './task-service.ts'
import { Waiters } from './waiters.ts'
import { PushChannels } from './webhook-silence.ts'

const HOUR_MS = 3_600_000

export interface TasksOptions {
  readonly store: TaskStore & TaskEnds
  readonly sources: readonly ConnectedSource[]
  readonly pollAnswers: PollAnswers
  readonly readers?: Pick<ProviderReaders, 'api'>
  readonly reader: Pick<BodyReader, 'pollAnswer' | 'event' | 'taskId' | 'apiWithBody' | 'fingerprint'>
  readonly maxWaitMs: number
  readonly deadlineMs: number
  readonly pollIntervalMs: number
  readonly breakerPauseMs?: number
  /** How long a claimed task is this process's own. */
  readonly leaseMs?: number
  readonly clock: Clock
  /** Milliseconds by a clock that nobody sets. */
  readonly monotonicMs?: () => number
  readonly random: () => number
  readonly telemetry: Pick<Telemetry, 'polled' | 'taskResolved'>
  readonly log: Logger
}

export interface Tasks {
  readonly service: TaskService
  readonly poller: Poller
  /** A webhook came to the source. */
  readonly heard: (source: string) => void
  readonly stateOf: (source: string) => Promise<SourceState>
  /** Answers whoever waits, as things stand. */
  readonly closeWaiters: () => void
}

/** Everything about tasks, put together; the poller is still to be started. */
export function createTasks(options: TasksOptions): Tasks {
  const { store, sources, clock, log, telemetry } = options
  const waiters = new Waiters((listener) => store.watchEnds(listener))
  const lastKept = async (source: string) => (await store.activity(source, clock())).lastWebhookAtMs
  const channels = new PushChannels(lastKept, clock, log)
  const submitter = createSubmitter(options)
  const poller = new Poller(sources, { ...options, submitter })
  const byName = new Map(sources.map((each) => [each.name, each]))
  const pushes = (source: string): boolean => byName.get(source)?.provider.api?.tasks?.pushes !== false

  store.onTaskEnded((ended) => {
    waiters.ended({ ...ended, id: ended.id ?? null })
    if (ended.by !== undefined) telemetry.taskResolved(ended.source, ended.by)
    if (ended.by === 'poll' && pushes(ended.source)) void channels.recovered(ended.source)
  })

  return {
    service: createTaskService({ ...options, sources: byName, lanes: poller.bySource, submitter, waiters }),
    poller,
    heard: (source) => channels.heard(source),
    closeWaiters: () => waiters.close(),
    stateOf: async (source) => {
      const silentSinceMs = await channels.silentSinceMs(source)
      const { lastWebhookAtMs, recovered } = await store.activity(source, clock() - HOUR_MS)
      return {
        // What came last may not have been kept, and what was kept may have come before the start.
        lastWebhookAtMs: channels.lastWebhookAtMs(source) ?? lastWebhookAtMs,
        recovered,
        breaker: poller.bySource.get(source)?.breaker() ?? null,
        silentSinceMs,
      }
    },
  }
}
