import type { FastifyInstance } from 'fastify'
import { attemptsOf, type Config } from '../domain/config.ts'
import type { Configuration } from '../domain/configuration.ts'
import { ConfigurationError } from '../domain/errors.ts'
import type { TaskService } from '../domain/task-service.ts'
import type { WebhookManager } from '../domain/webhook-manager.ts'
import { createConsole } from '../http/console/console.ts'
import type { ConsoleOptions } from '../http/console/ports.ts'
import type { OpsAccess } from '../http/ops/access.ts'
import { createOpsListener } from '../http/ops/ops-listener.ts'
import { createPublicListener } from '../http/public/public-listener.ts'
import type { ConfigReload } from './config-reload.ts'
import type { Reloader } from './reload.ts'
import { sampleSender, setupOf } from './samples.ts'
import type { Generation, Service } from './wiring.ts'

/**
 * How far the stop of the service has come. `isDraining`: readiness fails, so that load balancers send requests elsewhere.
 * `isClosing`: the public listener answers webhooks with 503 and closes keep-alive connections.
 */
export interface Phase {
  isDraining: boolean
  isClosing: boolean
}

/**
 * Why events cannot be stored now. The public listener shows the summary to every client. The ops listener shows the detail, which
 * may have the store's own message with hosts and paths.
 */
interface ReadinessFault {
  readonly summary: string
  readonly detail: string
}
const STOPPING = 'shutting down'
const CANNOT_STORE = 'events cannot be stored'
const CANNOT_ROUTE = 'the handlers of the workers are not known'

const clockIsOff = (seconds: number): ReadinessFault => ({
  summary: 'the clock of this service is off',
  detail: `the clock of this service is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} the senders' signed times`,
})

function readinessFaults({ store, routed, clockWatch }: Service, { isDraining }: Phase): readonly ReadinessFault[] {
  const offSeconds = clockWatch.offSeconds()
  return [
    ...(isDraining ? [{ summary: STOPPING, detail: STOPPING }] : []),
    ...store.faults().map((detail) => ({ summary: CANNOT_STORE, detail })),
    ...routed.faults().map((detail) => ({ summary: CANNOT_ROUTE, detail })),
    ...(offSeconds === 0 ? [] : [clockIsOff(offSeconds)]),
  ]
}

/** The listener for providers. */
export function publicListenerOf(service: Service, reloader: Reloader, phase: Phase): FastifyInstance {
  const { config, store, routed, taskWatch, telemetry, log } = service
  return createPublicListener({
    sources: () => reloader.current.parts.sources,
    receive: (incoming) =>
      reloader.use(async ({ parts, pipeline }) => {
        const { name } = incoming.source
        // A reload while the body arrived may have replaced the source, or removed it.
        const source = parts.sources.get(name)
        if (source === undefined) return { outcome: 'unavailable' }
        const received = await pipeline.receiver.receive(
          source === incoming.source ? incoming : { ...incoming, source },
        )
        if ('uid' in received) taskWatch.silence.webhookArrived(name)
        return received
      }),
    telemetry,
    readiness: () => [...new Set(readinessFaults(service, phase).map(({ summary }) => summary))],
    isDraining: () => phase.isClosing,
    closed: () => {
      if (config.role === 'worker') return 'this process is a worker'
      return routed.faults().length > 0 ? CANNOT_ROUTE : undefined
    },
    canStore: () => store.faults().length === 0,
    limits: () => reloader.current.parts.config,
    log,
  })
}

/** What both the ops API and the console have. */
type OpsPorts = Omit<
  ConsoleOptions,
  'clock' | 'day' | 'recentStats' | 'replicas' | 'configuration' | 'sourceSetup' | 'sample' | 'workersWith'
>

/** The listener for operators. */
export function opsListenerOf(
  service: Service,
  reloader: Reloader,
  { reload }: Pick<ConfigReload, 'reload'>,
  phase: Phase,
): FastifyInstance {
  const { config, store, audit, pauses, deadCauses, routed, retention, metrics, monitoring, live, clock, log } = service
  const { replicas } = store
  const ports: OpsPorts = {
    store,
    live,
    audit,
    pauses,
    deadCauses,
    replay: (uid, handler) => reloader.use(({ pipeline }) => pipeline.replayer.replay(uid, handler)),
    replays: service.replays.service,
    tasks: tasksOf(reloader),
    webhooks: webhooksOf(reloader),
    retention,
    sources: () => [...reloader.current.parts.sources.values()],
    sourceState: (source) => reloader.current.tasks.stateOf(source),
    sourceHealth: service.monitoring.healthOf,
    secretUses: (source) => reloader.current.secretUses.usesOf(source),
    handlers: routed.handlers,
    attempts: () => attemptsOf(reloader.current.parts.config),
    isRunning: (handler) =>
      service.store.replicas?.workers().some(({ handlers = [] }) => handlers.some(({ name }) => name === handler)) ??
      true,
    stats: monitoring.readStats,
    status: service.readStatus,
    access: accessOf(reloader),
    reload: () => reload('request'),
    readiness: () => readinessFaults(service, phase).map(({ detail }) => detail),
    log,
  }
  return createOpsListener({
    ...ports,
    console: createConsole({
      ...ports,
      clock,
      day: monitoring.readDay,
      recentStats: monitoring.readRecentStats,
      replicas: replicas === undefined ? undefined : () => replicas.running(),
      configuration: () => configurationOf(reloader),
      sourceSetup: (source) => setupOf(reloader.current, source),
      sample: sampleSender(service, reloader),
      workersWith: workersWith(service),
    }),
    metrics,
    metricsOpen: config.metricsOpen,
  })
}

function configurationOf({ current: { parts }, last }: Reloader): Configuration {
  const { settings, needRestart, warnings } = parts
  return { settings, needRestart, warnings, lastReload: last }
}

const workersWith =
  ({ store }: Service): ConsoleOptions['workersWith'] =>
  (handler) => {
    const workers = store.replicas?.workers()
    if (workers === undefined) return undefined
    const having = workers.filter(({ handlers = [] }) => handlers.some(({ name }) => name === handler))
    return { having: having.map(({ uid }) => uid), workers: workers.length }
  }

/** The tokens and host names of the configuration in use. The same object until a reload. */
function accessOf(reloader: Reloader): () => OpsAccess {
  const made = new WeakMap<Config, OpsAccess>()
  return () => {
    const { config } = reloader.current.parts
    const access = made.get(config) ?? {
      tokens: config.opsTokens,
      readTokens: config.opsReadTokens,
      host: config.opsHost,
      allowedHosts: config.opsAllowedHosts,
    }
    made.set(config, access)
    return access
  }
}

function tasksOf(reloader: Reloader): TaskService {
  const service = ({ tasks }: Generation): TaskService => tasks.service
  return {
    begin: (order) => reloader.use((generation) => service(generation).begin(order)),
    list: (...query) => service(reloader.current).list(...query),
    // May wait for minutes, and needs only what stays.
    show: (...query) => service(reloader.current).show(...query),
    questions: (task) => service(reloader.current).questions(task),
    cancel: (...task) => service(reloader.current).cancel(...task),
    poll: (...task) => reloader.use((generation) => service(generation).poll(...task)),
  }
}

const webhooksOf = (reloader: Reloader): WebhookManager => ({
  list: (...args) => reloader.use(({ webhooks }) => webhooks.list(...args)),
  create: (...args) => reloader.use(({ webhooks }) => webhooks.create(...args)),
  update: (...args) => reloader.use(({ webhooks }) => webhooks.update(...args)),
  remove: (...args) => reloader.use(({ webhooks }) => webhooks.remove(...args)),
  ensure: (...args) => reloader.use(({ webhooks }) => webhooks.ensure(...args)),
})

interface Listening {
  readonly listener: FastifyInstance
  /** The environment variables that configure its address. */
  readonly names: string
  readonly host: string
  readonly port: number
}

const CANNOT_LISTEN = new Set(['EADDRINUSE', 'EADDRNOTAVAIL', 'EACCES', 'ENOTFOUND', 'EAI_AGAIN'])

/**
 * Opens both listeners and resolves with their URLs. Rejects with a `ConfigurationError` that names the variables of each address
 * on which this process cannot listen.
 */
export async function listenOn(places: readonly [Listening, Listening]): Promise<[string, string]> {
  const faults: string[] = []
  const listen = async ({ listener, names, host, port }: Listening): Promise<string> => {
    try {
      return await listener.listen({ host, port })
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      if (!CANNOT_LISTEN.has(code)) throw error
      faults.push(`${names}: cannot listen on ${host}, port ${port}: ${code}`)
      return ''
    }
  }
  const urls: [string, string] = [await listen(places[0]), await listen(places[1])]
  if (faults.length > 0) throw new ConfigurationError(faults)
  return urls
}

/** Lets open requests finish, and closes the connections of those that have not finished after `graceMs`. */
export async function closeListener(listener: FastifyInstance, graceMs: number): Promise<void> {
  const cut = setTimeout(() => listener.server.closeAllConnections(), graceMs)
  try {
    await listener.close()
  } finally {
    clearTimeout(cut)
  }
}
