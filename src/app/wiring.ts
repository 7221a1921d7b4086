import { Dispatcher } from '../dispatch/dispatcher.ts'
import { leaseMs } from '../dispatch/pool/attempts.ts'
import type { Clock } from '../domain/clock.ts'
import { MAX_RETRY_AFTER_MS } from '../domain/retry-or-dead.ts'
import type { OpenStore } from '../domain/store.ts'
import type { Log } from '../log/log.ts'
import { createSecretFilter, redactor, secretsIn, sentSecretsIn } from '../log/redact.ts'
import { createInlineReader } from '../pipeline/body-reader.ts'
import { ClockWatch } from '../pipeline/clock-watch.ts'
import { createEventWriter } from '../pipeline/event-writer.ts'
import { createLongBodyReader } from '../pipeline/long-body-reader.ts'
import { createPollAnswers } from '../pipeline/poll-answers.ts'
import { createReceiver } from '../pipeline/receive.ts'
import { createRedeliverer, createReplayer } from '../pipeline/replay.ts'
import { typeRoutes } from '../pipeline/type-routes.ts'
import { createWebhookManager } from '../registrations/webhook-manager.ts'
import type { RoutedHandlers } from '../replicas/membership.ts'
import { databasePasswords } from '../storage/shared/database-url.ts'
import { longestPollMs } from '../tasks/schedule.ts'
import { createTasks } from '../tasks/tasks.ts'
import { type ConnectedSources, connectSources } from './connected-sources.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import type { ServiceParts } from './prepare.ts'
import { Retention } from './retention.ts'

/** Settings that no operator needs to change. */
export interface Tuning {
  readonly clock?: Clock
  /** Timeouts of calls to providers. */
  readonly callTimeouts?: { readonly connectMs: number; readonly totalMs: number }
  /** How long an open circuit breaker blocks calls to a provider. */
  readonly breakerPauseMs?: number
}

/** What `wire` needs: the loaded modules, the open store, and the handlers of all replicas. */
export interface WiringInputs {
  readonly parts: ServiceParts
  readonly store: OpenStore
  readonly routed: RoutedHandlers
  readonly clock: Clock
  readonly log: Log['log']
  /** How many log lines were dropped so far. */
  readonly droppedLogLines: () => number
  readonly tuning: Tuning
}

/** The running parts of the service, without its listeners. */
export type Service = ReturnType<typeof wire>

/** With an embedded store, the event writer wakes the dispatcher for each event; the dispatcher also looks for due deliveries itself. */
const OWN_STORE_IDLE = { maxIdleMs: () => 10_000 }
/**
 * With a shared store, other replicas append events and do not wake this process, so its dispatcher looks more often. This process
 * learns of a new replica within a second.
 */
const sharedStoreIdle = ({ hasOthers }: RoutedHandlers) => ({
  minIdleMs: 50,
  maxIdleMs: () => (hasOthers() ? 200 : 1_000),
})

/** Replaces the dispatcher in a process that runs no handlers (ROLE=ingest). */
const NO_DISPATCH = { offer: () => undefined, take: () => {}, wake: () => {} }

/** Makes every part of the service and connects the parts. Starts nothing: so far only what `prepare` started runs. */
export function wire(inputs: WiringInputs) {
  const { parts, store, clock, log } = inputs
  const isWorker = parts.config.role !== 'ingest'
  const clockWatch = new ClockWatch({ clock, now: () => performance.now(), log })
  const metrics = metricsOf(inputs, clockWatch, () => (isWorker ? retention.state() : undefined))
  const dispatcher = dispatcherOf(inputs, metrics, () => pipeline.receiver.receiving())
  const retention = retentionOf(inputs, () => dispatcher.wake())
  const pipeline = pipelineOf(inputs, metrics, isWorker ? dispatcher : NO_DISPATCH, clockWatch)
  const connected = connectSources(
    parts.config,
    parts,
    (headers) => clockWatch.answered(headers),
    inputs.tuning.callTimeouts,
  )
  const tasks = tasksOf(inputs, metrics, pipeline, connected)
  const webhooks = createWebhookManager({
    sources: new Map(connected.sources.map((source) => [source.name, source])),
    readers: parts.readers,
    reader: pipeline.reader,
    log,
  })
  return {
    ...inputs,
    store,
    isWorker,
    clockWatch,
    metrics,
    dispatcher,
    retention,
    pipeline,
    connected,
    tasks,
    webhooks,
  }
}

function metricsOf(
  { parts, store, routed, clock, droppedLogLines }: WiringInputs,
  clockWatch: ClockWatch,
  retention: () => ReturnType<Retention['state']> | undefined,
): Metrics {
  return createMetrics({
    handlers: routed.handlers,
    sources: [...parts.sources.keys()],
    counts: () => store.counts(),
    storeWarnings: () => store.warnings(),
    clock,
    clockOffSeconds: () => clockWatch.offSeconds(),
    droppedLogLines,
    retention,
  })
}

function dispatcherOf(
  { parts: { config, sources, pool, handlers }, store, routed, clock, log }: WiringInputs,
  { telemetry }: Metrics,
  receiving: () => number,
): Dispatcher {
  return new Dispatcher({
    store,
    pool,
    handlers,
    routesOf: (source) => typeRoutes(source, sources.get(source)?.types, routed.handlers()),
    ...(store.replicas === undefined ? OWN_STORE_IDLE : sharedStoreIdle(routed)),
    receiving,
    retry: config.retry,
    leaseMs: leaseMs(config.handlerTimeoutMs),
    clock,
    random: Math.random,
    redact: redactor([...secretsIn(config), ...databasePasswords(config.databaseUrl)]),
    telemetry,
    log,
  })
}

function retentionOf({ parts: { config }, store, log }: WiringInputs, onRepaired: () => void): Retention {
  return new Retention({
    store,
    retentionDays: config.retentionDays,
    deadRetentionDays: config.deadRetentionDays,
    waits: {
      retryMs: config.retry.capMs,
      retryAfterMs: MAX_RETRY_AFTER_MS,
      pollMs: longestPollMs(config.pollIntervalMs),
      leaseMs: leaseMs(config.handlerTimeoutMs),
    },
    onRepaired,
    log,
  })
}

/** The parts that process webhooks, answers to polls, and replays. */
function pipelineOf(
  { parts, store, routed, clock, log }: WiringInputs,
  { telemetry }: Metrics,
  dispatch: Dispatcher | typeof NO_DISPATCH,
  clockWatch: ClockWatch,
) {
  const { config, sources, readers, providerModules, isolatedModules: isolated } = parts
  const { headers: withoutSecrets } = createSecretFilter(secretsIn(config), sentSecretsIn(config))
  const writeEvent = createEventWriter({ append: (event) => store.append(event), telemetry, log, dispatch })
  const reader = createLongBodyReader({
    ...routed,
    inline: createInlineReader(routed.route, readers),
    providerModules,
    isolated,
    log,
  })
  const replayer = createReplayer({ store, sources, reader, onWork: (names) => dispatch.wake(names) })
  const redeliver = createRedeliverer({ replayDead: replayer.replayDead, log })
  const receiver = createReceiver({ writeEvent, reader, redeliver, withoutSecrets, clock, clockWatch, log })
  const pollAnswers = createPollAnswers({ writeEvent, reader, withoutSecrets, clock })
  return { reader, replayer, receiver, pollAnswers }
}

function tasksOf(
  { parts: { config, readers }, store, clock, log, tuning: { breakerPauseMs } }: WiringInputs,
  { telemetry }: Metrics,
  { reader, pollAnswers }: ReturnType<typeof pipelineOf>,
  { sources }: ConnectedSources,
) {
  return createTasks({
    store,
    sources,
    pollAnswers,
    reader,
    readers,
    maxWaitMs: config.taskMaxWaitMs,
    deadlineMs: config.taskDeadlineMs,
    pollIntervalMs: config.pollIntervalMs,
    ...(breakerPauseMs !== undefined && { breakerPauseMs }),
    clock,
    random: Math.random,
    telemetry,
    log,
  })
}
