import swagger from '@fastify/swagger'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import type { Logger } from 'pino'
import type { AuditStore, AuditTrail } from '../../domain/audit.ts'
import type { DeadLetters, ReadDeadCauses } from '../../domain/dead-letters.ts'
import type { DeliveryQueue, ReplayEvent } from '../../domain/delivery-queue.ts'
import type { DriftStore } from '../../domain/drift-store.ts'
import type { EventFacets } from '../../domain/event-facets.ts'
import type { EventStore } from '../../domain/event-store.ts'
import type { HandlerDefinition } from '../../domain/handler.ts'
import type { AttemptPolicy } from '../../domain/handler-policy.ts'
import type { LiveEvents } from '../../domain/live.ts'
import type { PauseService } from '../../domain/pause.ts'
import type { PayloadIndex } from '../../domain/payload-index.ts'
import type { ReloadResult } from '../../domain/reload.ts'
import type { ReplayService } from '../../domain/replay-service.ts'
import type { RetentionService } from '../../domain/retention.ts'
import type { SecretUse, SourceState } from '../../domain/source.ts'
import type { SourceHealth } from '../../domain/source-health.ts'
import type { ReadStats } from '../../domain/stats.ts'
import type { ReadStatus } from '../../domain/status.ts'
import type { StoreHealth } from '../../domain/store-health.ts'
import type { TaskService } from '../../domain/task-service.ts'
import { DESCRIPTION, VERSION } from '../../domain/version.ts'
import type { WebhookManager } from '../../domain/webhook-manager.ts'
import { registerHealth } from '../health.ts'
import { createListener, refuseOtherMethods, type Timeouts } from '../listener.ts'
import { sendProblem } from '../problems.ts'
import type { SourceView } from '../schemas/configuration.ts'
import { ProblemSchema } from '../schemas/schema.ts'
import { guardOps, type OpsAccess, type SessionOf } from './access.ts'
import { recordChanges, registerAudit } from './audit.ts'
import { registerHandlers, registerSources } from './configuration.ts'
import { registerDead, registerDiscards } from './dead.ts'
import { registerDrift } from './drift.ts'
import { registerEventFacets } from './event-facets.ts'
import { registerDeliveries, registerEvents, registerReplays } from './events.ts'
import { registerJsonBody } from './json-body.ts'
import { registerLive } from './live.ts'
import { type OpsApp, readNumbers } from './ops-app.ts'
import { registerPauses } from './pauses.ts'
import { registerPayloadIndex } from './payload-index.ts'
import { registerRegistrations } from './registrations.ts'
import { registerReload } from './reload.ts'
import { registerReplayJobs } from './replays.ts'
import { registerRetention } from './retention.ts'
import { registerStats } from './stats.ts'
import { registerStatus } from './status.ts'
import { registerTasks } from './tasks.ts'

/** Bytes of a request's body; the route that begins a task has a limit of its own. */
const BODY_LIMIT_BYTES = 65_536

export interface OpsListenerOptions {
  readonly live: LiveEvents
  readonly store: DriftStore &
    EventStore &
    DeliveryQueue &
    DeadLetters &
    Pick<StoreHealth, 'warnings'> & {
      readonly audit: AuditStore
      readonly payloadIndex: PayloadIndex
      readonly facets: EventFacets
    }
  readonly audit: AuditTrail
  readonly pauses: PauseService
  readonly deadCauses: ReadDeadCauses
  readonly replay: ReplayEvent
  readonly replays: ReplayService
  readonly tasks: TaskService
  readonly webhooks: WebhookManager
  readonly retention: RetentionService
  readonly sources: () => readonly SourceView[]
  readonly sourceState: (source: string) => Promise<SourceState>
  readonly sourceHealth: (source: string) => SourceHealth
  readonly secretUses: (source: string) => readonly SecretUse[]
  readonly handlers: () => readonly HandlerDefinition[]
  /** The service's settings for handlers without a policy of their own. */
  readonly attempts: () => AttemptPolicy
  /** Whether a running process has the handler. */
  readonly isRunning: (handler: string) => boolean
  readonly metrics: MetricsView
  readonly stats: ReadStats
  readonly status: ReadStatus
  readonly access: () => OpsAccess
  readonly metricsOpen: boolean
  /** Reads the configuration again. */
  readonly reload: () => Promise<ReloadResult>
  /** Why events cannot be stored now, in words for operators; empty: the service is ready. */
  readonly readiness: () => readonly string[]
  readonly console?: OpsPages
  readonly log: Logger
  readonly timeouts?: Timeouts
}

/** The pages for persons. */
interface OpsPages {
  readonly sessionOf: SessionOf
  /** Runs before the guard. */
  readonly prepareAnswer: onRequestHookHandler
  readonly register: (app: OpsApp) => void
}

/** The listener that operators reach: health, metrics and the API. */
export function createOpsListener(options: OpsListenerOptions): FastifyInstance {
  const { log, store, retention } = options
  const { app: root } = createListener({
    log,
    bodyLimitBytes: BODY_LIMIT_BYTES,
    ...(options.timeouts !== undefined && { timeouts: options.timeouts }),
    onClientFault: (fault) => log.debug({ outcome: fault }, 'ops request broken off'),
  })
  const app = root.withTypeProvider<TypeBoxTypeProvider>()
  app.setSerializerCompiler(() => JSON.stringify)
  registerJsonBody(root)
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers({ 'x-request-id': request.id, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    done()
  })
  if (options.console !== undefined) app.addHook('onRequest', options.console.prepareAnswer)
  recordChanges(root, options.audit)
  app.addHook('onRequest', guardOps(options.access, options.console?.sessionOf ?? (() => undefined), log))
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) sendProblem(reply, 'not_found')
    else done()
  })
  app.addHook('preValidation', readNumbers)
  // Fastify runs the hooks for unknown paths only if there is a handler for them.
  app.setNotFoundHandler(() => undefined)

  registerOpenApi(root)
  app.after(() => {
    const refuseOthers = refuseOtherMethods(root)
    registerHealth(root, options.readiness, () => [...store.warnings(), ...retention.warnings()])
    registerMetrics(app, options.metrics, options.metricsOpen)
    registerEvents(app, store)
    registerEventFacets(app, options)
    registerPayloadIndex(app, store.payloadIndex, options.sources)
    registerLive(app, options.live, log)
    registerDrift(app, store)
    registerReplays(app, options.replay)
    registerReplayJobs(app, options.replays)
    registerDeliveries(app, store)
    registerDead(app, options.deadCauses)
    registerDiscards(app, store)
    registerTasks(app, options.tasks)
    registerRegistrations(app, options.webhooks)
    registerSources(app, options)
    registerHandlers(app, options)
    registerReload(app, options.reload)
    registerStats(app, options.stats)
    registerStatus(app, options.status)
    registerRetention(app, retention)
    registerAudit(app, store.audit)
    registerPauses(app, {
      pauses: options.pauses,
      names: {
        handler: () => options.handlers().map(({ name }) => name),
        source: () => options.sources().map(({ name }) => name),
      },
    })
    app.get('/openapi.json', { schema: { hide: true } }, (_request, reply) => reply.send(root.swagger()))
    options.console?.register(app)
    refuseOthers()
  })
  return root
}

/** The part of the metrics that the route shows. */
interface MetricsView {
  readonly contentType: string
  readonly text: () => Promise<string>
  readonly summary: () => object
}

/** `open`: answered without a token. */
function registerMetrics(app: OpsApp, metrics: MetricsView, open: boolean): void {
  app.get(
    '/metrics',
    {
      config: { open },
      schema: {
        summary: 'Metrics for Prometheus; with Accept: application/json, a summary since the start',
        tags: ['metrics'],
        produces: ['text/plain', 'application/json'],
      },
    },
    async (request, reply) => {
      reply.header('vary', 'Accept')
      if (request.headers.accept?.includes('application/json')) return reply.send(metrics.summary())
      return reply.header('content-type', metrics.contentType).send(await metrics.text())
    },
  )
}

const PROBLEM = {
  description: 'Refused, or failed: a problem document',
  content: { 'application/problem+json': { schema: ProblemSchema } },
}

interface OpenApiOperation {
  readonly responses?: Record<string, unknown>
}

/** Describes every route registered after it, at `/openapi.json`. */
function registerOpenApi(app: FastifyInstance): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Holdfast ops API', description: DESCRIPTION, version: VERSION },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
    transformObject: (document) => {
      const description = 'openapiObject' in document ? document.openapiObject : document.swaggerObject
      for (const methods of Object.values(description.paths ?? {})) {
        for (const { responses } of Object.values<OpenApiOperation>(methods ?? {})) {
          if (responses !== undefined) responses.default = PROBLEM
        }
      }
      return description
    },
  })
}
