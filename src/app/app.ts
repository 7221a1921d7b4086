import type { Logger } from 'pino'
import { Dispatcher } from '../dispatch/dispatcher.ts'
import { leaseMs } from '../dispatch/lease.ts'
import { MAX_RETRY_AFTER_MS } from '../dispatch/settlement.ts'
import { type Clock, systemClock } from '../domain/clock.ts'
import type { Config } from '../domain/config.ts'
import { ConfigurationError, messageOf } from '../domain/errors.ts'
import type { OpenStore } from '../domain/store.ts'
import { createOpsListener } from '../http/ops/ops-listener.ts'
import { createPublicListener } from '../http/public/public-listener.ts'
import type { Log } from '../log/log.ts'
import { createSecretFilter, redactor, secretsIn, sentSecretsIn } from '../log/redact.ts'
import { routeHere } from '../pipeline/body-reader.ts'
import { ClockWatch } from '../pipeline/clock-watch.ts'
import { createEventWriter } from '../pipeline/event-writer.ts'
import { createLongBodyReader } from '../pipeline/long-body-reader.ts'
import { createPollAnswers } from '../pipeline/poll-answers.ts'
import { createReceiver } from '../pipeline/receive.ts'
import { createRedeliverer, createReplayer } from '../pipeline/replay.ts'
import { typeRoutes } from '../pipeline/type-routes.ts'
import { createWebhookManager } from '../registrations/webhook-manager.ts'
import { joinFleet, ownHandlers, type RoutedHandlers } from '../replicas/membership.ts'
import { databasePasswords } from '../storage/database-url.ts'
import { openStore } from '../storage/open.ts'
import { longestPollMs } from '../tasks/schedule.ts'
import { createTasks } from '../tasks/tasks.ts'
import type { ReadConfig } from './config.ts'
import { connectSources } from './connected-sources.ts'
import { closeListener, listenOn } from './listening.ts'
import { createMetrics } from './metrics/metrics.ts'
import { closePrepared, type Prepared, prepare, withGeneratedSecret } from './prepare.ts'
import { StoreUpkeep } from './retention.ts'

/**
 * How the grace period is spent, in parts of it: the load balancer is told; requests and handlers finish; handlers are
 * told to stop; what is left is cut off. The rest is the store's, to write down what came of it.
 */
const DRAIN_PART = 0.1
const MAX_DRAIN_MS = 1_000
const PATIENCE_PART = 0.5
const ABORT_PART = 0.1
const OPS_PART = 0.05

/** What comes due in a store of its own, the dispatcher knows; it looks for itself all the same. */
const OWN_IDLE = { maxIdleMs: () => 10_000 }
/** Other processes append to a shared store too, and do not tell. One that has just come is known within a second. */
const sharedIdle = ({ hasOthers }: RoutedHandlers) => ({ minIdleMs: 50, maxIdleMs: () => (hasOthers() ? 200 : 1_000) })

/** Why events cannot be stored now: in words for anybody who reaches the public listener, and in the store's, which may name hosts and paths. */
interface Unready {
  readonly summary: string
  readonly detail: string
}
const STOPPING = 'shutting down'
const CANNOT_STORE = 'events cannot be stored'
const CANNOT_ROUTE = 'the handlers of the workers are not known'

const clockIsOff = (seconds: number): Unready => ({
  summary: 'the clock of this service is off',
  detail: `the clock of this service is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} the senders' signed times`,
})

/** Of a process that runs no handlers. */
const NO_DISPATCH = { offer: () => undefined, take: () => {}, wake: () => {} }

export interface Holdfast {
  readonly publicUrl: string
  readonly opsUrl: string
  /** Resolves if the service cannot go on (its store is lost). */
  readonly lost: Promise<Error>
  /** Ends everything in order, within the grace period. Idempotent. */
  readonly stop: () => Promise<void>
}

/** What no operator needs to change. */
export interface Tuning {
  readonly clock?: Clock
  /** Of calls to providers. */
  readonly callTimeouts?: { readonly connectMs: number; readonly totalMs: number }
  /** How long a provider in trouble is left alone. */
  readonly breakerPauseMs?: number
}

/**
 * Wires and starts the whole service: store, handler processes, dispatcher, listeners. Rejects with `ConfigurationError`
 * naming every fault, having left nothing running.
 */
// oxlint-disable-next-line max-lines-per-function -- to be cut along its steps
export async function startHoldfast(read: ReadConfig, { log, dropped }: Log, tuning: Tuning = {}): Promise<Holdfast> {
  const { clock = systemClock, callTimeouts, breakerPauseMs } = tuning
  let droppedByHandlers = 0
  const prepared = await prepare(withGeneratedSecret(read, log), log, (lines) => {
    droppedByHandlers += lines
  })
  const store = await openSoundly(prepared, tuning.clock, log)
  const { config, sources, pool } = prepared
  const isWorker = config.role !== 'ingest'
  for (const warning of prepared.warnings) log.warn(warning)
  const routed = await routedHandlersOf(prepared, store, log)
  const { route } = routed

  const clockWatch = new ClockWatch({ clock, now: () => performance.now(), log })
  const metrics = createMetrics({
    handlers: routed.handlers,
    sources: [...sources.keys()],
    counts: () => store.counts(),
    storeWarnings: () => store.warnings(),
    clock,
    clockOffSeconds: () => clockWatch.offSeconds(),
    droppedLogLines: () => dropped() + droppedByHandlers,
    upkeep: () => (isWorker ? upkeep.state() : undefined),
  })
  const dispatcher = new Dispatcher({
    store,
    pool,
    handlers: prepared.handlers,
    routesOf: (source) => typeRoutes(source, sources.get(source)?.types, routed.handlers()),
    ...(store.fleet === undefined ? OWN_IDLE : sharedIdle(routed)),
    receiving: () => receiver.receiving(),
    retry: config.retry,
    leaseMs: leaseMs(config.handlerTimeoutMs),
    clock,
    random: Math.random,
    redact: redactor(secretsOf(config)),
    telemetry: metrics.telemetry,
    log,
  })
  const { headers: withoutSecrets } = createSecretFilter(secretsIn(config), sentSecretsIn(config))
  const dispatch = isWorker ? dispatcher : NO_DISPATCH
  const upkeep = new StoreUpkeep({
    store,
    retentionDays: config.retentionDays,
    deadRetentionDays: config.deadRetentionDays,
    waits: {
      retryMs: config.retry.capMs,
      retryAfterMs: MAX_RETRY_AFTER_MS,
      pollMs: longestPollMs(config.pollIntervalMs),
      leaseMs: leaseMs(config.handlerTimeoutMs),
    },
    onBroughtBack: () => dispatcher.wake(),
    log,
  })
  const keep = createEventWriter({
    append: (event) => store.append(event),
    telemetry: metrics.telemetry,
    log,
    dispatch,
  })
  const { providerModules, isolatedModules: own, readers } = prepared
  const reader = createLongBodyReader({ ...routed, here: routeHere(route, readers), providerModules, own, log })
  const replayer = createReplayer({ store, sources, reader, onWork: (names) => dispatch.wake(names) })
  const redeliver = createRedeliverer({ replayDead: replayer.replayDead, log })
  const receiver = createReceiver({ writeEvent: keep, reader, redeliver, withoutSecrets, clock, clockWatch, log })
  const connected = connectSources(config, prepared, (headers) => clockWatch.answered(headers), callTimeouts)
  const tasks = createTasks({
    store,
    sources: connected.sources,
    recover: createPollAnswers({ keep, reader, withoutSecrets, clock }),
    reader,
    readers,
    maxWaitMs: config.taskMaxWaitMs,
    deadlineMs: config.taskDeadlineMs,
    pollIntervalMs: config.pollIntervalMs,
    ...(breakerPauseMs !== undefined && { breakerPauseMs }),
    clock,
    random: Math.random,
    telemetry: metrics.telemetry,
    log,
  })
  let draining = false
  let closing = false
  const readiness = (): readonly Unready[] => [
    ...(draining ? [{ summary: STOPPING, detail: STOPPING }] : []),
    ...store.faults().map((detail) => ({ summary: CANNOT_STORE, detail })),
    ...routed.faults().map((detail) => ({ summary: CANNOT_ROUTE, detail })),
    ...(clockWatch.offSeconds() === 0 ? [] : [clockIsOff(clockWatch.offSeconds())]),
  ]

  const publicListener = createPublicListener({
    sources,
    receive: async (incoming) => {
      const received = await receiver.receive(incoming)
      if ('uid' in received) tasks.heard(incoming.source.name)
      return received
    },
    telemetry: metrics.telemetry,
    readiness: () => [...new Set(readiness().map(({ summary }) => summary))],
    isDraining: () => closing,
    closed: () => {
      if (config.role === 'worker') return 'this process is a worker'
      return routed.faults().length > 0 ? CANNOT_ROUTE : undefined
    },
    canStore: () => store.faults().length === 0,
    bodyLimitBytes: config.bodyLimitBytes,
    trustProxy: config.trustProxy,
    requireHttps: config.requireHttps,
    log,
  })
  const byName = new Map(connected.sources.map((each) => [each.name, each]))
  const opsListener = createOpsListener({
    store,
    replay: replayer.replay,
    tasks: tasks.service,
    webhooks: createWebhookManager({ sources: byName, readers, reader, log }),
    retention: upkeep,
    sources: [...sources.values()],
    sourceState: tasks.stateOf,
    handlers: routed.handlers,
    metrics,
    token: config.opsToken,
    metricsOpen: config.metricsOpen,
    readiness: () => readiness().map(({ detail }) => detail),
    log,
  })

  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      draining = true
      const graceMs = config.shutdownGraceMs
      await sleep(Math.min(MAX_DRAIN_MS, graceMs * DRAIN_PART))
      closing = true
      upkeep.stop()
      tasks.closeWaiters()
      await Promise.all([
        tasks.poller.stop().then(connected.close),
        closeListener(publicListener, graceMs * PATIENCE_PART),
        dispatcher.stop(graceMs * PATIENCE_PART, graceMs * ABORT_PART),
      ])
      await closeListener(opsListener, graceMs * OPS_PART)
      await Promise.all([readers.close(), reader.close()])
      await routed.leave()
      await store.close()
    })()
    return stopping
  }

  try {
    const [opsUrl, publicUrl] = await listenOn([
      { listener: opsListener, names: 'OPS_HOST, OPS_PORT', host: config.opsHost, port: config.opsPort },
      { listener: publicListener, names: 'HOST, PORT', host: config.publicHost, port: config.publicPort },
    ])
    if (isWorker) {
      dispatcher.wake()
      tasks.poller.start()
      upkeep.start()
    }
    return { publicUrl, opsUrl, lost: store.lost, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Loads and checks everything that serving would, but opens neither store nor port. Gives the faults. */
export async function checkHoldfast(read: ReadConfig, { log }: Log): Promise<Prepared> {
  const prepared = await prepare(read, log)
  await closePrepared(prepared)
  return prepared
}

async function routedHandlersOf(prepared: Prepared, store: OpenStore, log: Logger): Promise<RoutedHandlers> {
  const { config, handlers, route } = prepared
  if (store.fleet === undefined) return ownHandlers(handlers, route)
  try {
    return await joinFleet({ fleet: store.fleet, own: config.role === 'ingest' ? undefined : handlers, log })
  } catch (error) {
    await Promise.all([closePrepared(prepared), store.close()])
    throw new ConfigurationError([`DATABASE_URL: ${messageOf(error)}`])
  }
}

/** Opens the store even if there are other faults, so that its own are named with them. */
async function openSoundly(
  { config, pool, readers, faults }: Prepared,
  clock: Clock | undefined,
  log: Logger,
): Promise<OpenStore> {
  const all = new Set(faults)
  let store: OpenStore | undefined
  try {
    store = await openStore(config.databaseUrl, {
      ...(clock !== undefined && { clock }),
      onLog: (level, message) => log[level](message),
    })
  } catch (error) {
    if (!(error instanceof ConfigurationError)) all.add(`DATABASE_URL: ${messageOf(error)}`)
    else for (const fault of error.faults) all.add(fault)
  }
  if (store !== undefined && all.size === 0) return store
  await Promise.all([closePrepared({ pool, readers }), store?.close()])
  throw new ConfigurationError([...all])
}

/** Everything in a configuration that no log and no answer may show. */
const secretsOf = (config: Config): readonly string[] => [
  ...secretsIn(config),
  ...databasePasswords(config.databaseUrl),
]

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
