import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { MAX_ARRIVING_BYTES } from '../../domain/limits.ts'
import type { Receive } from '../../domain/receive.ts'
import type { Source } from '../../domain/source.ts'
import type { Telemetry } from '../../domain/telemetry.ts'
import { registerHealth } from '../health.ts'
import { createListener, refuseOtherMethods, type Timeouts } from '../listener.ts'
import { sendProblem, statusOf } from '../problems.ts'
import { createTrustedProxies } from './trusted-proxies.ts'
import { isWebhookPath, registerWebhooks } from './webhooks.ts'

export interface PublicLimits {
  readonly bodyLimitBytes: number
  /** CIDRs. */
  readonly trustProxy: readonly string[]
  readonly requireHttps: boolean
}

export interface PublicListenerOptions {
  /** The configured sources, by name; the same map until a reload. */
  readonly sources: () => ReadonlyMap<string, Source>
  readonly receive: Receive
  readonly telemetry: Telemetry
  /** Why events cannot be stored now, in words for the public (no host, no path); empty: the service is ready. */
  readonly readiness: () => readonly string[]
  /** The service is stopping, and answers webhooks with 503. */
  readonly isDraining?: () => boolean
  /**
   * Why the service answers 503 to every webhook, in words for the public; undefined: it accepts webhooks. The listener checks this
   * first, so that no webhook gets a 4xx meanwhile, unless it is no valid HTTP.
   */
  readonly closed?: () => string | undefined
  /** Whether the store accepts events now. If not, a sender that waits for `100 Continue` gets 503 before it sends the body. */
  readonly canStore?: () => boolean
  /** The same object until a reload. */
  readonly limits: () => PublicLimits
  readonly maxArrivingBytes?: number
  readonly log: Logger
  readonly timeouts?: Timeouts
  /** Monotonic milliseconds. */
  readonly now?: () => number
}

const NO_QUERY = Object.freeze({})

/**
 * The listener that providers reach, with only webhooks and health. The route itself reads the body as bytes, whatever its content
 * type and encoding.
 */
export function createPublicListener(options: PublicListenerOptions): FastifyInstance {
  const { log, telemetry, limits } = options
  const reading = new WeakMap<Socket, Source>()
  const proxies = createTrustedProxies(() => limits().trustProxy)
  const { app, connections } = createListener({
    log,
    // The route itself reads bodies, within its own limit.
    bodyLimitBytes: MAX_ARRIVING_BYTES,
    ...(options.timeouts !== undefined && { timeouts: options.timeouts }),
    queryParser: () => NO_QUERY,
    onClientFault: (fault, socket) => {
      const source = reading.get(socket)?.name
      telemetry.request(source, fault === 'headers_too_large' ? 'too_large' : fault)
      log.warn({ source, outcome: fault, peer: socket.remoteAddress }, 'request broken off')
    },
    onBadHead: (request, outcome) => {
      if (!isWebhookPath(request.raw.url ?? '')) return
      telemetry.request(undefined, outcome)
      const about = { reqId: request.id, outcome, status: statusOf(outcome), ...proxies.addressOf(request) }
      log.warn(about, 'webhook refused')
    },
  })
  for (const method of app.supportedMethods) app.addHttpMethod(method, { hasBody: false, overrideExisting: true })
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, limits().requireHttps && !proxies.isHttps(request) ? 'insecure' : 'not_found'),
  )

  const refuseOthers = refuseOtherMethods(app)
  registerHealth(app, options.readiness)
  refuseOthers()
  registerWebhooks(app, {
    sources: options.sources,
    receive: options.receive,
    telemetry,
    limits,
    maxArrivingBytes: options.maxArrivingBytes,
    proxies,
    isDraining: options.isDraining ?? (() => false),
    closed: options.closed ?? (() => undefined),
    canStore: options.canStore ?? (() => true),
    log,
    now: options.now ?? (() => performance.now()),
    reading,
    connections,
  })
  return app
}
