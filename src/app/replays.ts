import type { Logger } from 'pino'
import type { Config } from '../domain/config.ts'
import type { PauseService } from '../domain/pause.ts'
import type { PlanReplay, ReplayService } from '../domain/replay-service.ts'
import type { OpenStore } from '../domain/store.ts'
import { ReplayRunner } from '../replays/replay-runner.ts'
import { createReplayService } from '../replays/replay-service.ts'
import type { RoutedHandlers } from '../replicas/membership.ts'

/** How often a process looks for replays that another one has created, or left when it ended; and while there is no other. */
const SHARED_IDLE_MS = 1_000
const OWN_IDLE_MS = 5_000

interface ReplayInputs {
  readonly store: Pick<OpenStore, 'replayJobs' | 'event' | 'deadCauses' | 'replicas'>
  readonly routed: Pick<RoutedHandlers, 'handlers' | 'hasOthers'>
  readonly pauses: Pick<PauseService, 'isDraining'>
  readonly log: Logger
}

/** The part of a generation that replays need. */
interface ReplayGeneration {
  readonly parts: { readonly sources: ReadonlyMap<string, unknown>; readonly config: Config }
  readonly dispatcher: { wake(handlers: readonly string[]): void }
  readonly pipeline: { readonly replayer: { readonly plan: PlanReplay } }
}

interface Generations {
  readonly current: ReplayGeneration
  readonly use: <Result>(call: (generation: ReplayGeneration) => Promise<Result>) => Promise<Result>
}

export interface Replays {
  readonly runner: ReplayRunner
  readonly service: ReplayService
}

/** Makes the replays of many events. They reach the generation of the moment through `generations`. */
export function wireReplays({ store, routed, pauses, log }: ReplayInputs, generations: () => Generations): Replays {
  const shared = {
    jobs: store.replayJobs,
    event: (uid: string) => store.event(uid),
    monotonicMs: () => performance.now(),
  }
  const runner = new ReplayRunner({
    ...shared,
    plan: (uid, aim) => generations().use(({ pipeline }) => pipeline.replayer.plan(uid, aim)),
    capacity: () => {
      const concurrency = new Map(routed.handlers().map((handler) => [handler.name, handler.concurrency]))
      const { handlerProcesses, handlerConcurrency } = generations().current.parts.config
      return { total: handlerProcesses * handlerConcurrency, of: (handler) => concurrency.get(handler) }
    },
    isDraining: () => pauses.isDraining,
    onWork: (handlers) => generations().current.dispatcher.wake(handlers),
    idleMs: () => (routed.hasOthers() ? SHARED_IDLE_MS : OWN_IDLE_MS),
    log,
  })
  const service = createReplayService({
    ...shared,
    isSource: (name) => generations().current.parts.sources.has(name),
    isHandler: (name) => routed.handlers().some((handler) => handler.name === name),
    isCause: async (cause) => (await store.deadCauses({ cause })).causes.length > 0,
    onCreated: () => runner.wake(),
  })
  return { runner, service }
}
