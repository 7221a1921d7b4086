import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { isHoldfastError } from '../domain/errors.ts'
import type { Headers } from '../domain/event.ts'
import type { Receive, Received } from '../domain/receive.ts'
import type { Source } from '../domain/source.ts'
import type { RequestOutcome, Telemetry } from '../domain/telemetry.ts'
import { rawQuery } from './listener.ts'
import { acceptsMediaTypes } from './media-type.ts'
import { type ProblemCode, type ProblemDetails, sendProblem, statusOf } from './problems.ts'
import { createBodyReader } from './read-body.ts'

export interface WebhookOptions {
  readonly sources: ReadonlyMap<string, Source>
  readonly receive: Receive
  readonly telemetry: Telemetry
  readonly bodyLimitBytes: number
  /** Of all bodies still arriving, together; `MAX_ARRIVING_BYTES` unless given. */
  readonly maxArrivingBytes?: number | undefined
  readonly requireHttps: boolean
  readonly isDraining: () => boolean
  readonly closed: () => string | undefined
  readonly log: Logger
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Whose body is being read on which socket: so that one cut short counts for its source. */
  readonly reading: WeakMap<Socket, Source>
}

/** A source, and what it takes for its provider's content. */
interface Door {
  readonly source: Source
  readonly accepts: (contentType: string | undefined) => boolean
}

type WebhookRequest = FastifyRequest<{ Params: { source: string } }>
type Refusal = Extract<RequestOutcome, ProblemCode>

/** Both paths of a webhook; a trailing slash is the router's matter. */
const PATHS = ['/v1/webhooks/:source', '/webhooks/:source']

export const isWebhookPath = (url: string): boolean => /^(?:\/v1)?\/webhooks\//.test(url)

export function registerWebhooks(app: FastifyInstance, options: WebhookOptions): void {
  const { receive, telemetry, reading, log, now } = options
  const readBody = createBodyReader(options.bodyLimitBytes, options.maxArrivingBytes)
  const doors = new Map<string, Door>()
  for (const [name, source] of options.sources) {
    doors.set(name, { source, accepts: acceptsMediaTypes(source.provider.contentTypes ?? ['application/json']) })
  }

  function refuse(
    reply: FastifyReply,
    source: Source | undefined,
    outcome: Refusal,
    startedMs: number,
    details = detailsOf(outcome, source),
  ) {
    telemetry.request(source?.name, outcome)
    const status = statusOf(outcome)
    // What cannot be taken now is told of once by whoever is at fault; each refusal is counted in the metrics.
    log[outcome === 'unavailable' ? 'debug' : 'warn'](
      { reqId: reply.request.id, source: source?.name, outcome, status, duration_ms: since(startedMs) },
      'webhook refused',
    )
    return sendProblem(reply, outcome, details)
  }

  function acknowledge(reply: FastifyReply, source: Source, received: Kept, startedMs: number) {
    const { outcome, uid } = received
    const durationMs = since(startedMs)
    telemetry.request(source.name, outcome)
    telemetry.acknowledged(source.name, durationMs / 1000)
    // The ordinary case is on record in the store and the metrics; a line of log for each would cost more than its storing.
    log.debug(
      { reqId: reply.request.id, source: source.name, outcome, uid, status: 200, duration_ms: durationMs },
      'webhook stored',
    )
    return reply
      .header('content-type', 'application/json; charset=utf-8')
      .header('x-request-id', reply.request.id)
      .send(`{"received":true,"uid":"${uid}","duplicate":${outcome === 'duplicate'}}`)
  }

  const since = (startedMs: number): number => Math.round((now() - startedMs) * 1000) / 1000

  async function answer(request: WebhookRequest, reply: FastifyReply): Promise<FastifyReply> {
    const startedMs = now()
    const { raw } = request
    const door = doors.get(request.params.source)
    const reason = options.closed()
    if (reason !== undefined) return refuse(reply, door?.source, 'unavailable', startedMs, { detail: reason })
    const refusal = options.requireHttps && !isHttps(request) ? 'insecure' : refusalOf(door, raw)
    if (door === undefined || refusal !== undefined) {
      return refuse(reply, door?.source, refusal ?? 'unknown_source', startedMs)
    }
    const { source } = door
    // What came before is still taken: the store closes last.
    const isLate = options.isDraining()
    reading.set(raw.socket, source)
    const body = await readBody(raw)
    reading.delete(raw.socket)
    if (body === 'aborted') return reply.hijack()
    if (body === 'too_large') return refuse(reply, source, 'too_large', startedMs)
    if (body === 'overloaded' || isLate) return refuse(reply, source, 'unavailable', startedMs)

    const received = await receive({
      source,
      headers: headersOf(raw),
      body,
      query: rawQuery(raw),
      requestId: request.id,
    })
    return isKept(received)
      ? acknowledge(reply, source, received, startedMs)
      : refuse(reply, source, received.outcome, startedMs)
  }

  for (const url of PATHS) {
    app.route<{ Params: { source: string } }>({
      method: app.supportedMethods,
      url,
      handler: answer,
      errorHandler: (error, request, reply) => {
        const source = doors.get(request.params.source)?.source.name
        telemetry.request(source, isHoldfastError(error, 'unavailable') ? 'unavailable' : 'error')
        app.errorHandler(error, request, reply)
      },
    })
  }
}

type Kept = Extract<Received, { uid: string }>

const isKept = (received: Received): received is Kept => 'uid' in received

export const isHttps = (request: FastifyRequest): boolean => request.protocol?.toLowerCase() === 'https'

/** What can be told before a byte of the body is read, in the order in which it is told. */
function refusalOf(door: Door | undefined, { method, headers }: IncomingMessage): Refusal | undefined {
  if (door === undefined) return 'unknown_source'
  if (method !== 'POST') return 'method_not_allowed'
  if (headers['content-encoding'] !== undefined) return 'unsupported_media_type'
  return door.accepts(headers['content-type']) ? undefined : 'unsupported_media_type'
}

function detailsOf(outcome: Refusal, source: Source | undefined): ProblemDetails {
  if (outcome === 'method_not_allowed') return { headers: { allow: 'POST' } }
  if (outcome !== 'unsupported_media_type') return {}
  const mediaTypes = source?.provider.contentTypes ?? ['application/json']
  return {
    detail: `accepted: ${mediaTypes.join(', ')}, without Content-Encoding`,
    headers: { 'accept-encoding': 'identity' },
  }
}

/**
 * As Node gives them: by lower-case name, repeated ones joined, and without a prototype, so that a header named like
 * something inherited is only a header. Set-Cookie, which Node alone keeps apart, has no business in a request.
 */
function headersOf({ headers }: IncomingMessage): Headers {
  const { 'set-cookie': setCookie } = headers
  if (setCookie === undefined) return headers as Headers
  return Object.assign(Object.create(null), headers, { 'set-cookie': setCookie.join(', ') })
}
