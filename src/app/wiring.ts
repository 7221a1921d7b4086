import { longestWaits } from '../dispatch/attempt-policies.ts'
import type { RunningAttempts } from '../dispatch/concurrency-limits.ts'
import { Dispatcher } from '../dispatch/dispatcher.ts'
import { Pauses } from '../dispatch/pauses.ts'
import type { StartsByHandler } from '../dispatch/rate-limits.ts'
import type { Clock } from '../domain/clock.ts'
import { attemptsOf, type Config } from '../domain/config.ts'
import type { LastReload } from '../domain/reload.ts'
import { MAX_RETRY_AFTER_MS } from '../domain/retry-or-dead.ts'
import type { OpenStore } from '../domain/store.ts'
import type { Log } from '../log/log.ts'
import { createSecretFilter, redactor, secretsIn, sentSecretsIn } from '../log/redact.ts'
import { createReadDeadCauses } from '../monitoring/dead-causes.ts'
import { DriftWatch } from '../monitoring/drift-watch.ts'
import { LiveFeed } from '../monitoring/live-events.ts'
import { createInlineReader } from '../pipeline/body-reader.ts'
import { ClockWatch } from '../pipeline/clock-watch.ts'
import { createEventWriter } from '../pipeline/event-writer.ts'
import { createLongBodyReader } from '../pipeline/long-body-reader.ts'
import { createPollAnswers } from '../pipeline/poll-answers.ts'
import { createReceiver } from '../pipeline/receive.ts'
import { createRedeliverer, createReplayer } from '../pipeline/replay.ts'
import { SecretCounts, type SecretUses } from '../pipeline/secret-use.ts'
import { typeRoutes } from '../pipeline/type-routes.ts'
import { createQueues, createWebhookManager } from '../registrations/webhook-manager.ts'
import type { RoutedHandlers } from '../replicas/membership.ts'
import { databasePasswords } from '../storage/shared/database-url.ts'
import { longestPollMs } from '../tasks/schedule.ts'
import { createTasks, watchTasks } from '../tasks/tasks.ts'
import { createAuditTrail } from './audit.ts'
import { type ConnectedSources, connectSources } from './connected-sources.ts'
import { createMetrics } from './metrics.ts'
import { wireMonitoring } from './monitoring.ts'
import { type CauseNaming, causeNamingOf, realDirectory } from './name-causes.ts'
import type { ServiceParts } from './prepare.ts'
import { type Replays, wireReplays } from './replays.ts'
import { Retention } from './retention.ts'
import { statusOf } from './status.ts'
import type { Tuning } from './tuning.ts'

/** What `wireService` needs: the configuration at the start, the open store, and the handlers of all replicas. */
export interface WiringInputs {
  readonly config: Config
  readonly store: OpenStore
  readonly routed: RoutedHandlers
  readonly clock: Clock
  readonly log: Log['log']
  /** How many log lines were dropped so far. */
  readonly droppedLogLines: () => number
  readonly tuning: Tuning
}

/** The parts that live as long as the service, without its listeners. */
export type Service = ReturnType<typeof wireService>
/** The parts that a reload replaces together: everything that depends on the modules of providers and handlers. */
export type Generation = ReturnType<typeof wireGeneration>

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

/** Makes the parts that live as long as the service, and starts nothing. `reloader` is there only later: it has the generation in use. */
export function wireService(
  inputs: WiringInputs,
  reloader: () => {
    readonly current: Generation
    readonly last: LastReload
    readonly use: <Result>(call: (generation: Generation) => Promise<Result>) => Promise<Result>
  },
) {
  const current = (): Generation => reloader().current
  const { config, store, routed, clock, log, droppedLogLines } = inputs
  const isWorker = config.role !== 'ingest'
  const clockWatch = new ClockWatch({ clock, now: () => performance.now(), log })
  const deadCauses = createReadDeadCauses(store)
  const pauses = pausesOf(inputs, () => current().dispatcher.pausesChanged())
  const metrics = createMetrics({
    deadCauses: () => deadCauses({}),
    handlers: routed.handlers,
    sources: () => current().parts.sources,
    counts: () => store.counts(),
    storeSize: () => store.size(),
    roles: async () => store.replicas?.roles() ?? new Map([[config.role, 1]]),
    watchedSources: () =>
      [...current().parts.sources.keys()].map((source) => ({
        source,
        health: monitoring.healthOf(source),
        breaker: current().tasks.breakerOf(source),
      })),
    storeWarnings: () => store.warnings(),
    clock,
    clockOffSeconds: () => clockWatch.offSeconds(),
    droppedLogLines,
    lastReload: () => reloader().last,
    status: () => readStatus(),
    paused: { pauses, handlers: routed.handlers, sources: () => current().parts.sources.keys() },
    secretUses: () => secretUsesOf(current()),
    retention: () => (isWorker ? retention.state() : undefined),
  })
  const retention = retentionOf(inputs, current)
  const monitoring = wireMonitoring(inputs, () => {
    const { sources, config: now } = current().parts
    return { byName: sources, configs: now.sources }
  })
  const readStatus = statusOf(inputs, { retention, clockWatch, monitoring, deadCauses, pauses }, reloader)
  const telemetry = monitoring.telling(metrics.telemetry)
  const pushes = (source: string): boolean => current().parts.sources.get(source)?.provider.api?.tasks?.pushes !== false
  const replays: Replays = wireReplays({ ...inputs, pauses }, reloader)
  const causeNaming: CauseNaming = causeNamingOf(inputs, reloader)
  return {
    ...inputs,
    isWorker,
    pauses,
    audit: createAuditTrail(store.audit, log),
    deadCauses,
    causeNaming,
    clockWatch,
    metrics,
    monitoring,
    readStatus,
    telemetry,
    retention,
    live: new LiveFeed({ store, log }),
    drift: new DriftWatch({ store, telemetry, log, clock }),
    replays,
    taskWatch: watchTasks({ store, pushes, clock, log, telemetry }),
    runningAttempts: new Map() satisfies RunningAttempts,
    recentStarts: new Map() satisfies StartsByHandler,
    secretCounts: new SecretCounts(clock, log),
    registrationQueue: createQueues(),
  }
}

const secretUsesOf = ({ parts, secretUses }: Generation) =>
  [...parts.sources.keys()].map((source) => ({ source, uses: secretUses.usesOf(source) }))

const pausesOf = ({ config, store, routed, log }: WiringInputs, onChange: () => void): Pauses =>
  new Pauses({
    store: store.pauses,
    isShared: store.replicas !== undefined,
    hasOthers: routed.hasOthers,
    onChange: () => {
      if (config.role !== 'ingest') onChange()
    },
    log,
  })

/** Makes the parts that depend on the modules, and connects them. Starts nothing: so far only what `prepare` started runs. */
export function wireGeneration(service: Service, parts: ServiceParts) {
  const dispatcher = dispatcherOf(service, parts, () => pipeline.receiver.receiving())
  const secretUses = service.secretCounts.of(parts.config.sources)
  const pipeline = pipelineOf(service, parts, secretUses, service.isWorker ? dispatcher : NO_DISPATCH)
  const connected = connectSources(
    parts.config,
    parts,
    (headers) => service.clockWatch.answered(headers),
    service.tuning.callTimeouts,
  )
  const tasks = tasksOf(service, parts, pipeline, connected)
  const webhooks = createWebhookManager({
    sources: new Map(connected.sources.map((source) => [source.name, source])),
    readers: parts.readers,
    reader: pipeline.reader,
    inQueue: service.registrationQueue,
    log: service.log,
  })
  return { parts, secretUses, dispatcher, pipeline, connected, tasks, webhooks }
}

function dispatcherOf(
  { store, routed, pauses, telemetry, runningAttempts, recentStarts, clock, log }: Service,
  { config, sources, pool, handlers }: ServiceParts,
  receiving: () => number,
): Dispatcher {
  return new Dispatcher({
    store,
    pool,
    handlers,
    running: runningAttempts,
    starts: recentStarts,
    rateShareOf: routed.rateShareOf,
    pauses,
    handlersDir: realDirectory(config.handlersDir),
    routesOf: (source) => typeRoutes(source, sources.get(source)?.types, routed.handlers()),
    ...(store.replicas === undefined ? OWN_STORE_IDLE : sharedStoreIdle(routed)),
    receiving,
    attempts: attemptsOf(config),
    clock,
    random: Math.random,
    redact: redactor([...secretsIn(config), ...databasePasswords(config.databaseUrl)]),
    telemetry,
    log,
  })
}

function retentionOf({ config, store, routed, log }: WiringInputs, current: () => Generation): Retention {
  let longest = { ...longestWaits([], attemptsOf(config)), pollMs: 0 }
  return new Retention({
    store,
    get retentionDays() {
      return current().parts.config.retentionDays
    },
    get deadRetentionDays() {
      return current().parts.config.deadRetentionDays
    },
    waits: () => {
      const { config: now } = current().parts
      // Never shorter than before: attempts and polls from before a reload may still run.
      const waits = longestWaits(routed.handlers(), attemptsOf(now))
      longest = {
        leaseMs: Math.max(longest.leaseMs, waits.leaseMs),
        retryMs: Math.max(longest.retryMs, waits.retryMs),
        pollMs: Math.max(longest.pollMs, longestPollMs(now.pollIntervalMs)),
      }
      return { ...longest, retryAfterMs: MAX_RETRY_AFTER_MS }
    },
    onRepaired: () => current().dispatcher.wake(),
    log,
  })
}

/** The parts that process webhooks, answers to polls, and replays. */
function pipelineOf(
  { store, routed, telemetry, clockWatch, clock, log, drift, tuning }: Service,
  { config, sources, readers, providerModules, isolatedModules: isolated }: ServiceParts,
  secretUses: SecretUses,
  dispatch: Dispatcher | typeof NO_DISPATCH,
) {
  const { headers: withoutSecrets } = createSecretFilter(secretsIn(config), sentSecretsIn(config))
  const writeEvent = createEventWriter({
    append: (event) => store.append(event),
    ...(tuning.without?.has('drift') !== true && { onUnderstood: (event) => drift.offer(event) }),
    telemetry,
    log,
    dispatch,
  })
  const reader = createLongBodyReader({
    ...routed,
    inline: createInlineReader(routed.route, readers),
    providerModules,
    isolated,
    log,
  })
  const replayer = createReplayer({ store, sources, reader, onWork: (names) => dispatch.wake(names) })
  const redeliver = createRedeliverer({ replayDead: replayer.replayDead, log })
  const receiver = createReceiver({ writeEvent, reader, redeliver, withoutSecrets, secretUses, clock, clockWatch, log })
  const pollAnswers = createPollAnswers({ writeEvent, reader, withoutSecrets, clock })
  return { reader, replayer, receiver, pollAnswers }
}

function tasksOf(
  { store, telemetry, pauses, taskWatch, clock, log, tuning: { breakerPauseMs } }: Service,
  { config, readers }: ServiceParts,
  { reader, pollAnswers }: ReturnType<typeof pipelineOf>,
  { sources }: ConnectedSources,
) {
  return createTasks({
    store,
    sources,
    watch: taskWatch,
    pollAnswers,
    reader,
    readers,
    maxWaitMs: config.taskMaxWaitMs,
    deadlineMs: config.taskDeadlineMs,
    pollIntervalMs: config.pollIntervalMs,
    isDraining: () => pauses.isDraining,
    ...(breakerPauseMs !== undefined && { breakerPauseMs }),
    clock,
    random: Math.random,
    telemetry,
    log,
  })
}
