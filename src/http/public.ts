import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { Receive } from '../domain/receive.ts'
import type { Source } from '../domain/source.ts'
import type { Telemetry } from '../domain/telemetry.ts'
import { registerHealth } from './health.ts'
import { createListener, refuseOtherMethods, type Timeouts } from './listener.ts'
import { sendProblem } from './problems.ts'
import { isHttps, isWebhookPath, registerWebhooks } from './webhooks.ts'

export interface PublicListenerOptions {
  readonly sources: ReadonlyMap<string, Source>
  readonly receive: Receive
  readonly telemetry: Telemetry
  /** Why nothing can be stored now; empty: ready. */
  readonly readiness: () => readonly string[]
  /** The service is stopping: webhooks are sent away with 503. */
  readonly isDraining?: () => boolean
  /** Why webhooks are sent away with 503 before anything else is looked at, so never with 4xx; undefined: they are not. */
  readonly closed?: () => string | undefined
  readonly bodyLimitBytes: number
  readonly maxArrivingBytes?: number
  /** CIDRs. */
  readonly trustProxy: readonly string[]
  readonly requireHttps: boolean
  readonly log: Logger
  readonly timeouts?: Timeouts
  /** Monotonic milliseconds. */
  readonly now?: () => number
}

const NO_QUERY = Object.freeze({})

/**
 * The listener that providers reach: webhooks and health, nothing else. Bodies are read by the route itself, so that
 * no content type, encoding or emptiness sends a request down another road than the bytes' own.
 */
export function createPublicListener(options: PublicListenerOptions): FastifyInstance {
  const { log, telemetry, requireHttps } = options
  const reading = new WeakMap<Socket, Source>()
  const app = createListener({
    log,
    bodyLimitBytes: options.bodyLimitBytes,
    trustProxy: options.trustProxy,
    ...(options.timeouts !== undefined && { timeouts: options.timeouts }),
    queryParser: () => NO_QUERY,
    onClientFault: (fault, socket) => {
      const source = reading.get(socket)?.name
      telemetry.request(source, fault === 'headers_too_large' ? 'too_large' : fault)
      log.warn({ source, outcome: fault }, 'request broken off')
    },
    onMalformed: ({ id, raw }) => {
      if (!isWebhookPath(raw.url ?? '')) return
      telemetry.request(undefined, 'malformed')
      log.warn({ reqId: id, outcome: 'malformed', status: 400 }, 'webhook refused')
    },
  })
  for (const method of app.supportedMethods) app.addHttpMethod(method, { hasBody: false, overrideExisting: true })
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, requireHttps && !isHttps(request) ? 'insecure' : 'not_found'),
  )

  const refuseOthers = refuseOtherMethods(app)
  registerHealth(app, options.readiness)
  refuseOthers()
  registerWebhooks(app, {
    sources: options.sources,
    receive: options.receive,
    telemetry,
    bodyLimitBytes: options.bodyLimitBytes,
    maxArrivingBytes: options.maxArrivingBytes,
    requireHttps,
    isDraining: options.isDraining ?? (() => false),
    closed: options.closed ?? (() => undefined),
    log,
    now: options.now ?? (() => performance.now()),
    reading,
  })
  return app
}
