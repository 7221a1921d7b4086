import { systemClock } from '../domain/clock.ts'
import { ConfigurationError, messageOf } from '../domain/errors.ts'
import { commonPaths } from '../domain/payload-index.ts'
import type { ReloadResult } from '../domain/reload.ts'
import type { OpenStore } from '../domain/store.ts'
import type { Log } from '../log/log.ts'
import { secretsIn } from '../log/redact.ts'
import { joinReplicas, ownHandlers, type RoutedHandlers } from '../replicas/membership.ts'
import { openStore } from '../storage/open.ts'
import type { ReadConfig } from './config.ts'
import { ConfigReload } from './config-reload.ts'
import { closeListener, listenOn, opsListenerOf, type Phase, publicListenerOf } from './listeners.ts'
import { closeParts, type PrepareOptions, prepare, type ServiceParts, withGeneratedSecret } from './prepare.ts'
import { Reloader } from './reload.ts'
import type { Reread } from './reread.ts'
import type { Tuning } from './tuning.ts'
import { type Service, type WiringInputs, wireService } from './wiring.ts'

export interface Holdfast {
  readonly publicUrl: string
  readonly opsUrl: string
  /** The names of the handlers that this process runs. */
  readonly handlers: () => readonly string[]
  /** Loads the modules again, as `Reloader.reload` says. */
  readonly reload: () => Promise<ReloadResult>
  /** Reads the configuration again, and loads everything by it, as `ConfigReload.reload` says. */
  readonly reloadConfig: ConfigReload['reload']
  /** Resolves if the service cannot go on because its store is lost. */
  readonly lost: Promise<Error>
  /** Stops everything in order, within the grace period. Idempotent. */
  readonly stop: () => Promise<void>
}

/**
 * Starts the whole service: store, handler processes, dispatcher, poller, listeners. Rejects with a `ConfigurationError` that
 * names every fault; then nothing is left running. `reread` reads the configuration for a reload.
 */
export async function startHoldfast(
  read: ReadConfig,
  log: Log,
  tuning: Tuning = {},
  reread: Reread = () => read,
): Promise<Holdfast> {
  let droppedByHandlers = 0
  const onDroppedLines = (lines: number): void => {
    droppedByHandlers += lines
  }
  const prepareWith = (next: ReadConfig, options: PrepareOptions = {}): Promise<ServiceParts> => {
    log.keepOut(secretsIn(next.config))
    return prepare(next, log.log, { ...options, onDroppedLines })
  }
  const first = await prepareWith(withGeneratedSecret(read, log.log))
  const droppedLogLines = (): number => log.dropped() + droppedByHandlers
  const service = wireService({ ...(await open(first, log.log, tuning)), droppedLogLines }, () => reloader)
  const reloader = new Reloader({ service, first, prepare: prepareWith })
  const configReload = new ConfigReload({
    reloader,
    reread: (inUse) => reread(read, inUse),
    audit: service.audit,
    log: log.log,
    first: read,
  })
  const { config } = service
  const phase: Phase = { isDraining: false, isClosing: false }
  const listeners = {
    public: publicListenerOf(service, reloader, phase),
    ops: opsListenerOf(service, reloader, configReload, phase),
  }
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => {
    configReload.close()
    stopping ??= stopInOrder(service, reloader, listeners, phase)
    return stopping
  }

  try {
    const [opsUrl, publicUrl] = await listenOn([
      { listener: listeners.ops, names: 'OPS_HOST, OPS_PORT', host: config.opsHost, port: config.opsPort },
      { listener: listeners.public, names: 'HOST, PORT', host: config.publicHost, port: config.publicPort },
    ])
    await service.pauses.start()
    reloader.start()
    service.monitoring.start()
    if (service.isWorker) {
      service.retention.start()
      service.replays.runner.start()
      service.causeNaming.start()
    }
    const handlers = () => reloader.current.parts.handlers.map(({ name }) => name)
    const reload = () => reloader.reload()
    const { reload: reloadConfig } = configReload
    return { publicUrl, opsUrl, handlers, reload, reloadConfig, lost: service.store.lost, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Loads and checks everything that a start would, but opens neither the store nor a port. The result names the faults. */
export async function checkHoldfast(read: ReadConfig, { log }: Log): Promise<ServiceParts> {
  const parts = await prepare(read, log)
  await closeParts(parts)
  return parts
}

/** Opens the store and reads the handlers of all replicas. */
async function open(
  parts: ServiceParts,
  log: Log['log'],
  tuning: Tuning,
): Promise<Omit<WiringInputs, 'droppedLogLines'>> {
  for (const warning of parts.warnings) log.warn(warning)
  const store = await openCheckedStore(parts, log, tuning)
  await keepFirstPaths(parts, store)
  const routed = await routedHandlersOf(parts, store, log)
  return { config: parts.config, store, routed, clock: tuning.clock ?? systemClock, log, tuning }
}

/** Opens the store even if `parts` has faults, so that the store's own faults are named together with them. */
async function openCheckedStore(
  { config, pool, readers, faults }: ServiceParts,
  log: Log['log'],
  { clock, startStoreThread: startThread }: Tuning,
): Promise<OpenStore> {
  const all = new Set(faults)
  let store: OpenStore | undefined
  try {
    store = await openStore(config.databaseUrl, {
      ...(clock !== undefined && { clock }),
      ...(startThread !== undefined && { startThread }),
      onLog: (level, message) => log[level](message),
    })
  } catch (error) {
    if (!(error instanceof ConfigurationError)) all.add(`DATABASE_URL: ${messageOf(error)}`)
    else for (const fault of error.faults) all.add(fault)
  }
  if (store !== undefined && all.size === 0) return store
  await Promise.all([closeParts({ pool, readers }), store?.close()])
  throw new ConfigurationError([...all], { isOfModules: faults.length > 0 })
}

async function keepFirstPaths({ config, pool, readers }: ServiceParts, store: OpenStore): Promise<void> {
  try {
    await store.payloadIndex.keepPaths(commonPaths([config.sources]))
  } catch (error) {
    await Promise.all([closeParts({ pool, readers }), store.close()])
    throw error
  }
}

async function routedHandlersOf(parts: ServiceParts, store: OpenStore, log: Log['log']): Promise<RoutedHandlers> {
  const { config, handlers, route } = parts
  if (store.replicas === undefined) return ownHandlers(handlers, route)
  try {
    return await joinReplicas({
      registry: store.replicas,
      own: config.role === 'ingest' ? undefined : handlers,
      role: config.role,
      log,
    })
  } catch (error) {
    await Promise.all([closeParts(parts), store.close()])
    throw new ConfigurationError([`DATABASE_URL: ${messageOf(error)}`])
  }
}

/**
 * The shares of the grace period, in order: load balancers learn that the service drains; open requests and handlers finish; the
 * dispatcher aborts the handlers that still run; the ops listener closes. The rest is for the store, which commits the outcomes.
 */
const DRAIN_PART = 0.1
const MAX_DRAIN_MS = 1_000
const FINISH_PART = 0.5
const ABORT_PART = 0.1
const OPS_PART = 0.05

async function stopInOrder(
  { config, store, routed, retention, pauses, replays, causeNaming, taskWatch, monitoring, live, drift }: Service,
  reloader: Reloader,
  listeners: {
    readonly public: Parameters<typeof closeListener>[0]
    readonly ops: Parameters<typeof closeListener>[0]
  },
  phase: Phase,
): Promise<void> {
  const graceMs = config.shutdownGraceMs
  phase.isDraining = true
  await sleep(Math.min(MAX_DRAIN_MS, graceMs * DRAIN_PART))
  phase.isClosing = true
  retention.stop()
  live.close()
  taskWatch.waiters.close()
  await Promise.all([
    closeListener(listeners.public, graceMs * FINISH_PART),
    pauses.stop(),
    replays.runner.stop(),
    causeNaming.stop(),
    reloader.stop(graceMs * FINISH_PART, graceMs * ABORT_PART),
  ])
  await closeListener(listeners.ops, graceMs * OPS_PART)
  await reloader.close()
  await routed.leave()
  monitoring.stop()
  drift.stop()
  await store.close()
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
