import { randomBytes } from 'node:crypto'
import { type IncomingMessage, METHODS } from 'node:http'
import type { Socket } from 'node:net'
import { type FastifyInstance, type FastifyRequest, fastify, LogController } from 'fastify'
import type { Logger } from 'pino'
import { HEADERS_TIMEOUT_MS, KEEP_ALIVE_TIMEOUT_MS, MAX_HEADER_BYTES, REQUEST_TIMEOUT_MS } from '../domain/limits.ts'
import { type ClientFault, clientErrors } from './client-errors.ts'
import { continueWhenRead, expectsUnknown } from './expect-continue.ts'
import { type ClientConnections, scheduleConnections } from './fair-scheduler.ts'
import { createErrorHandler, sendProblem } from './problems.ts'

/** How often Node closes connections past their timeout, so a connection may last that much longer. Each check wakes an idle service. */
const CONNECTION_CHECK_MS = 2_000

export interface Timeouts {
  /** Time for the headers. */
  readonly headersMs: number
  /** Time for the whole request with its headers. */
  readonly requestMs: number
}

interface ListenerOptions {
  readonly log: Logger
  readonly bodyLimitBytes: number
  readonly timeouts?: Timeouts
  readonly queryParser?: (query: string) => Record<string, unknown>
  /** Called for bytes that Node could not read as an HTTP request. */
  readonly onClientFault: (fault: ClientFault, socket: Socket) => void
  /** Called for a request that is refused before it reaches a route. */
  readonly onBadHead?: (request: FastifyRequest, fault: HeadFault) => void
}

/** `malformed`: the URL cannot be decoded, or the request has no `Host` header, or two. */
type HeadFault = 'malformed' | 'expectation_failed'

interface Listener {
  readonly app: FastifyInstance
  readonly connections: ClientConnections
}

/** A Fastify instance with Holdfast's limits and timeouts. It answers every refusal with a problem (RFC 9457), never with Fastify's own body. */
export function createListener(options: ListenerOptions): Listener {
  const { log } = options
  const { headersMs, requestMs } = options.timeouts ?? { headersMs: HEADERS_TIMEOUT_MS, requestMs: REQUEST_TIMEOUT_MS }
  const handleError = createErrorHandler(log)
  const app = fastify({
    bodyLimit: options.bodyLimitBytes,
    requestTimeout: requestMs,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    http: {
      maxHeaderSize: MAX_HEADER_BYTES,
      requireHostHeader: false,
      headersTimeout: Math.min(headersMs, requestMs),
      connectionsCheckingInterval: Math.min(CONNECTION_CHECK_MS, headersMs, requestMs),
    },
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: createRequestIds(),
    exposeHeadRoutes: false,
    return503OnClosing: false,
    routerOptions: {
      ignoreTrailingSlash: true,
      maxParamLength: MAX_HEADER_BYTES,
      ...(options.queryParser !== undefined && { querystringParser: options.queryParser }),
    },
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, allErrors: false } },
    clientErrorHandler: (error, socket) => broken.clientError(error, socket),
    frameworkErrors: (error, request, reply) => {
      options.onBadHead?.(request, 'malformed')
      handleError(error, request, reply)
    },
  })
  // A sender may close its side once it has sent everything. By default Node would then close the other side before the answer.
  Object.assign(app.server, { httpAllowHalfOpen: true })
  const connections = scheduleConnections(app.server)
  const broken = clientErrors(options.onClientFault, connections.of)
  app.server.on('request', broken.request)
  app.server.on('connect', broken.connect)
  continueWhenRead(app.server)
  app.setErrorHandler(handleError)
  app.addHook('onRequest', (request, reply, done) => {
    const fault = faultOf(request.raw)
    if (fault === undefined) return done()
    options.onBadHead?.(request, fault)
    sendProblem(reply, fault)
  })
  for (const method of METHODS) {
    if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  }
  return { app, connections }
}

function faultOf(request: IncomingMessage): HeadFault | undefined {
  if (!hasOneHost(request)) return 'malformed'
  return expectsUnknown(request) ? 'expectation_failed' : undefined
}

/** RFC 9112 §3.2: exactly one `Host` header; HTTP/1.0 may have none. Node's own check allows two, and its answer is no problem. */
function hasOneHost({ rawHeaders, httpVersion }: IncomingMessage): boolean {
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) if (isHost(rawHeaders[at])) hosts++
  return hosts === 1 || (hosts === 0 && httpVersion === '1.0')
}

const isHost = (name: string | undefined): boolean => name?.length === 4 && name.toLowerCase() === 'host'

/**
 * Answers 405 with `Allow` if a path exists, but not for the method. The caller calls it before it registers the first route, and
 * calls the returned function after the last one.
 */
export function refuseOtherMethods(app: FastifyInstance): () => void {
  const methodsByUrl = new Map<string, Set<string>>()
  const ofConsole = new Set<string>()
  app.addHook('onRoute', ({ url, method, config }) => {
    const known = methodsByUrl.get(url) ?? new Set()
    methodsByUrl.set(url, known)
    for (const each of [method].flat()) known.add(each)
    if (config?.console === true) ofConsole.add(url)
  })
  return () => {
    for (const [url, known] of methodsByUrl) {
      const allow = [...known].join(', ')
      app.route({
        url,
        method: app.supportedMethods.filter((method) => !known.has(method)),
        schema: { hide: true },
        config: { audit: false, console: ofConsole.has(url) },
        // In `onRequest`, before the body is read: the sender may wait for `100 Continue`.
        onRequest: (_request, reply) => void sendProblem(reply, 'method_not_allowed', { headers: { allow } }),
        handler: () => undefined,
      })
    }
  }
}

/** The undecoded query string, without the `?`. */
export function rawQuery({ url = '' }: IncomingMessage): string {
  const at = url.indexOf('?')
  return at < 0 ? '' : url.slice(at + 1)
}

/** A request id that is short enough for a log line and has no special characters of logs or headers. */
const PLAIN = /^[\w.-]{1,64}$/

/** Keeps the caller's `x-request-id` if it is plain; otherwise numbers requests under a prefix of this process. */
function createRequestIds(): (request: IncomingMessage) => string {
  const prefix = randomBytes(6).toString('hex')
  let count = 0
  return ({ headers }) => {
    const sent = headers['x-request-id']
    return typeof sent === 'string' && PLAIN.test(sent) ? sent : `${prefix}-${(++count).toString(36)}`
  }
}
