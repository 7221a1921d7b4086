import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { isHoldfastError } from '../../domain/errors.ts'
import type { Headers } from '../../domain/event.ts'
import { MAX_ARRIVING_BYTES } from '../../domain/limits.ts'
import { type Receive, type Received, type Unproven, unproven } from '../../domain/receive.ts'
import type { Source } from '../../domain/source.ts'
import type { RequestOutcome, Telemetry } from '../../domain/telemetry.ts'
import { createArriving } from '../arriving.ts'
import { expectsToBeAsked } from '../expect.ts'
import { rawQuery } from '../listener.ts'
import { peerOf } from '../peer.ts'
import { type ProblemCode, type ProblemDetails, sendProblem, statusOf } from '../problems.ts'
import { type BodyRead, createBodyReader, type Sender } from '../read-body.ts'
import type { Connections } from '../turns.ts'
import { acceptsMediaTypes } from './media-type.ts'
import type { Proxies } from './proxies.ts'

export interface WebhookOptions {
  readonly sources: ReadonlyMap<string, Source>
  readonly receive: Receive
  readonly telemetry: Telemetry
  readonly bodyLimitBytes: number
  /** Of all bodies still arriving, together; `MAX_ARRIVING_BYTES` unless given. */
  readonly maxArrivingBytes?: number | undefined
  readonly requireHttps: boolean
  readonly proxies: Proxies
  readonly isDraining: () => boolean
  readonly closed: () => string | undefined
  readonly canStore: () => boolean
  readonly log: Logger
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Whose body is being read on which socket: so that one cut short counts for its source. */
  readonly reading: WeakMap<Socket, Source>
  readonly connections: Pick<Connections, 'proven' | 'suspect' | 'owesOne'>
}

/** A source, and what it takes for its provider's content. */
interface Door {
  readonly source: Source
  readonly accepts: (contentType: string | undefined) => boolean
}

type WebhookRequest = FastifyRequest<{ Params: { source: string } }>
type Refused = Extract<RequestOutcome, ProblemCode>

/** Both paths of a webhook; a trailing slash is the router's matter. */
const PATHS = ['/v1/webhooks/:source', '/webhooks/:source']

export const isWebhookPath = (url: string): boolean => /^(?:\/v1)?\/webhooks\//.test(url)

/** Why a request is refused, and what of it only the log is told. */
interface Refusal {
  readonly outcome: Refused
  readonly details?: ProblemDetails
  readonly logged?: Readonly<Record<string, unknown>>
}

// oxlint-disable-next-line max-lines-per-function -- to be cut along its steps
export function registerWebhooks(app: FastifyInstance, options: WebhookOptions): void {
  const { receive, telemetry, reading, connections, log, now, proxies } = options
  const arriving = createArriving(options.maxArrivingBytes ?? MAX_ARRIVING_BYTES)
  const readBody = createBodyReader(options.bodyLimitBytes, arriving, connections.suspect)
  const doors = new Map<string, Door>()
  for (const [name, source] of options.sources) {
    doors.set(name, { source, accepts: acceptsMediaTypes(source.provider.contentTypes ?? ['application/json']) })
  }

  /** Kept open while the service stops, a connection would hold that up though nothing more is owed. */
  const endingIfLast = (reply: FastifyReply): FastifyReply =>
    options.isDraining() && connections.owesOne(reply.request.raw.socket) ? reply.header('connection', 'close') : reply

  function refuse(reply: FastifyReply, source: Source | undefined, refusal: Refusal, startedMs: number) {
    const { outcome, details = detailsOf(outcome, source), logged } = refusal
    telemetry.request(source?.name, outcome)
    const status = statusOf(outcome)
    // What cannot be taken now is told of once by whoever is at fault; each refusal is counted in the metrics.
    log[outcome === 'unavailable' ? 'debug' : 'warn'](
      {
        reqId: reply.request.id,
        source: source?.name,
        outcome,
        status,
        ...proxies.originOf(reply.request),
        ...logged,
        duration_ms: since(startedMs),
      },
      'webhook refused',
    )
    return sendProblem(endingIfLast(reply), outcome, details)
  }

  function acknowledge(reply: FastifyReply, source: Source, received: Kept, startedMs: number) {
    const { outcome, uid } = received
    const durationMs = since(startedMs)
    telemetry.request(source.name, outcome)
    telemetry.acknowledged(source.name, durationMs / 1000)
    connections.proven(reply.request.raw.socket)
    // The ordinary case is on record in the store and the metrics; a line of log for each would cost more than its storing.
    log.debug(
      { reqId: reply.request.id, source: source.name, outcome, uid, status: 200, duration_ms: durationMs },
      'webhook stored',
    )
    return endingIfLast(reply)
      .header('content-type', 'application/json; charset=utf-8')
      .header('x-request-id', reply.request.id)
      .send(`{"received":true,"uid":"${uid}","duplicate":${outcome === 'duplicate'}}`)
  }

  const since = (startedMs: number): number => Math.round((now() - startedMs) * 1000) / 1000

  /** What can be told before a byte of the body is read. */
  function refusalOf(request: WebhookRequest, door: Door | undefined): Refusal | undefined {
    const reason = options.closed()
    if (reason !== undefined) return { outcome: 'unavailable', details: { detail: reason } }
    if (options.requireHttps && !proxies.isHttps(request)) return { outcome: 'insecure' }
    if (door === undefined) return { outcome: 'unknown_source' }
    const { method, headers } = request.raw
    if (method !== 'POST') return { outcome: 'method_not_allowed' }
    return headers['content-encoding'] === undefined ? undefined : { outcome: 'unsupported_media_type' }
  }

  /** Whether a body that is sent only when it is asked for would be refused once it had come, as far as can be told now. */
  const isInVain = (sender: Sender, declaredBytes: number, isLate: boolean): boolean =>
    isLate || !options.canStore() || !arriving.admits(sender, declaredBytes)

  async function answer(request: WebhookRequest, reply: FastifyReply): Promise<FastifyReply> {
    const startedMs = now()
    const { raw } = request
    const door = doors.get(request.params.source)
    const refusal = refusalOf(request, door)
    if (door === undefined || refusal !== undefined) {
      return refuse(reply, door?.source, refusal ?? { outcome: 'unknown_source' }, startedMs)
    }
    const { source } = door
    const unread = { source, headers: headersOf(raw), query: rawQuery(raw), requestId: request.id }
    const declaredBytes = Number(raw.headers['content-length'] ?? 0)
    if (declaredBytes > options.bodyLimitBytes) return refuse(reply, source, UNREAD.too_large, startedMs)
    const precheck = source.precheck(unread)
    if (precheck?.ok === false) return refuse(reply, source, unprovenAs(unproven(precheck), door, raw), startedMs)
    // What came before is still taken: the store closes last.
    const isLate = options.isDraining()
    const sender = (): Sender => {
      const { client, peer } = proxies.originOf(request)
      return { peer: peerOf(client ?? peer), looksSigned: precheck !== undefined }
    }
    if (expectsToBeAsked(raw) && isInVain(sender(), declaredBytes, isLate))
      return refuse(reply, source, { outcome: 'unavailable' }, startedMs)
    reading.set(raw.socket, source)
    const body = await readBody(raw, sender)
    reading.delete(raw.socket)
    if (body === 'aborted') return reply.hijack()
    if (isUnread(body)) return refuse(reply, source, UNREAD[body], startedMs)
    if (isLate) return refuse(reply, source, { outcome: 'unavailable' }, startedMs)

    const received = await receive({ ...unread, body })
    if (isKept(received)) return acknowledge(reply, source, received, startedMs)
    const { outcome } = received
    return refuse(reply, source, outcome === 'unavailable' ? { outcome } : unprovenAs(received, door, raw), startedMs)
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

/** What is proven is kept under whatever label; of what is not, the label is told first. */
function unprovenAs(verdict: Unproven, { accepts }: Door, { headers }: IncomingMessage): Refusal {
  const logged = 'aheadMs' in verdict ? { timestamp_ahead_seconds: Math.round(verdict.aheadMs / 1000) } : undefined
  return accepts(headers['content-type'])
    ? { outcome: verdict.outcome, ...(logged !== undefined && { logged }) }
    : { outcome: 'unsupported_media_type', logged: { reason: verdict.outcome, ...logged } }
}

const UNREAD: Readonly<Record<Exclude<BodyRead, Buffer | 'aborted'>, Refusal>> = {
  too_large: { outcome: 'too_large' },
  overloaded: { outcome: 'unavailable' },
  too_many_pieces: {
    outcome: 'malformed',
    details: { detail: 'the body came in too many pieces' },
    logged: { reason: 'too many pieces' },
  },
}

const isUnread = (body: Exclude<BodyRead, 'aborted'>): body is keyof typeof UNREAD => typeof body === 'string'

function detailsOf(outcome: Refused, source: Source | undefined): ProblemDetails {
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
