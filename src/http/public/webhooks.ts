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
import { expectsContinue } from '../expect-continue.ts'
import type { ClientConnections } from '../fair-scheduler.ts'
import { rawQuery } from '../listener.ts'
import { peerOf, plainAddress } from '../peers.ts'
import { type ProblemCode, type ProblemDetails, sendProblem, statusOf } from '../problems.ts'
import { ReadBudget, type Sender } from '../read-budget.ts'
import { type BodyRead, createBodyReader } from './read-body.ts'
import type { TrustedProxies } from './trusted-proxies.ts'

interface WebhookOptions {
  readonly sources: () => ReadonlyMap<string, Source>
  readonly receive: Receive
  readonly telemetry: Telemetry
  readonly limits: () => { readonly bodyLimitBytes: number; readonly requireHttps: boolean }
  /** Bounds the bodies that arrive at the same time; `MAX_ARRIVING_BYTES` unless given. */
  readonly maxArrivingBytes?: number | undefined
  readonly proxies: TrustedProxies
  readonly isDraining: () => boolean
  readonly closed: () => string | undefined
  readonly canStore: () => boolean
  readonly log: Logger
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** The source whose body is being read from each socket, so that a body that breaks off is counted for that source. */
  readonly reading: WeakMap<Socket, Source>
  readonly connections: Pick<ClientConnections, 'trust' | 'suspect' | 'owesOne'>
}

/** A source, and the media types that it accepts. */
interface Endpoint {
  readonly source: Source
  readonly accepts: (contentType: string | undefined) => boolean
}

const JSON_ONLY = ['application/json']

type WebhookRequest = FastifyRequest<{ Params: { source: string } }>
type Refused = Extract<RequestOutcome, ProblemCode>

/** Both paths of a webhook; the router also accepts a trailing slash. */
const PATHS = ['/v1/webhooks/:source', '/webhooks/:source']

export const isWebhookPath = (url: string): boolean => /^(?:\/v1)?\/webhooks\//.test(url)

/** Why a request is refused. `logged` is for the log alone. */
interface Refusal {
  readonly outcome: Refused
  readonly details?: ProblemDetails
  readonly logged?: Readonly<Record<string, unknown>>
}

export function registerWebhooks(app: FastifyInstance, options: WebhookOptions): void {
  const route = new WebhookRoute(options)
  for (const url of PATHS) {
    app.route<{ Params: { source: string } }>({
      method: app.supportedMethods,
      url,
      handler: (request, reply) => route.answer(request, reply),
      errorHandler: (error, request, reply) => {
        route.failed(error, request)
        app.errorHandler(error, request, reply)
      },
    })
  }
}

class WebhookRoute {
  readonly #options: WebhookOptions
  readonly #budget: ReadBudget
  readonly #readBody: ReturnType<typeof createBodyReader>
  #sources: ReadonlyMap<string, Source> = new Map()
  #endpoints: ReadonlyMap<string, Endpoint> = new Map()

  constructor(options: WebhookOptions) {
    this.#options = options
    this.#budget = new ReadBudget(options.maxArrivingBytes ?? MAX_ARRIVING_BYTES)
    this.#readBody = createBodyReader(() => options.limits().bodyLimitBytes, this.#budget, options.connections.suspect)
  }

  async answer(request: WebhookRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { now, reading, isDraining, limits, receive } = this.#options
    const startedMs = now()
    const { raw } = request
    const endpoint = this.#endpointOf(request.params.source)
    const refusal = this.#refusalOf(request, endpoint)
    if (endpoint === undefined || refusal !== undefined) {
      return this.#refuse(reply, endpoint?.source, refusal ?? { outcome: 'unknown_source' }, startedMs)
    }
    const { source } = endpoint
    const { client, peer } = this.#options.proxies.addressOf(request)
    const from = client ?? peer
    const unread = {
      source,
      headers: headersOf(raw),
      query: rawQuery(raw),
      receivedFrom: from === undefined ? undefined : plainAddress(from),
      requestId: request.id,
    }
    const declaredBytes = Number(raw.headers['content-length'] ?? 0)
    if (declaredBytes > limits().bodyLimitBytes) return this.#refuse(reply, source, UNREAD.too_large, startedMs)
    const precheck = source.precheck(unread)
    if (precheck?.ok === false)
      return this.#refuse(reply, source, unprovenRefusal(unproven(precheck), endpoint, raw), startedMs)
    // A request that arrived before the service began to stop is still accepted: the store closes last.
    const isLate = isDraining()
    const sender = (): Sender => this.#senderOf(request, precheck !== undefined)
    if (expectsContinue(raw) && (isLate || !this.#canTake(sender(), declaredBytes)))
      return this.#refuse(reply, source, { outcome: 'unavailable' }, startedMs)
    reading.set(raw.socket, source)
    const body = await this.#readBody(raw, sender)
    reading.delete(raw.socket)
    if (body === 'aborted') return reply.hijack()
    if (isUnread(body)) return this.#refuse(reply, source, UNREAD[body], startedMs)
    if (isLate) return this.#refuse(reply, source, { outcome: 'unavailable' }, startedMs)

    const received = await receive({ ...unread, body })
    if (isStored(received)) return this.#acknowledge(reply, source, received, startedMs)
    const { outcome } = received
    const reason = outcome === 'unavailable' ? { outcome } : unprovenRefusal(received, endpoint, raw)
    return this.#refuse(reply, source, reason, startedMs)
  }

  /** Counts a request whose answer failed with an error. */
  failed(error: unknown, { params }: WebhookRequest): void {
    const source = this.#endpointOf(params.source)?.source.name
    this.#options.telemetry.request(source, isHoldfastError(error, 'unavailable') ? 'unavailable' : 'error')
  }

  #endpointOf(name: string): Endpoint | undefined {
    const sources = this.#options.sources()
    if (sources !== this.#sources) {
      this.#sources = sources
      this.#endpoints = new Map([...sources].map(([each, source]) => [each, endpointOf(source)]))
    }
    return this.#endpoints.get(name)
  }

  /** Why the request is refused before any of its body is read; undefined: it is not. */
  #refusalOf(request: WebhookRequest, endpoint: Endpoint | undefined): Refusal | undefined {
    const { closed, limits, proxies } = this.#options
    const reason = closed()
    if (reason !== undefined) return { outcome: 'unavailable', details: { detail: reason } }
    if (limits().requireHttps && !proxies.isHttps(request)) return { outcome: 'insecure' }
    if (endpoint === undefined) return { outcome: 'unknown_source' }
    const { method, headers } = request.raw
    if (method !== 'POST') return { outcome: 'method_not_allowed' }
    return headers['content-encoding'] === undefined ? undefined : { outcome: 'unsupported_media_type' }
  }

  #senderOf(request: WebhookRequest, looksSigned: boolean): Sender {
    const { client, peer } = this.#options.proxies.addressOf(request)
    return { peer: peerOf(client ?? peer), looksSigned }
  }

  /** Whether the store and the read budget have room now for a body that the sender sends only after `100 Continue`. */
  #canTake(sender: Sender, declaredBytes: number): boolean {
    return this.#options.canStore() && this.#budget.admits(sender, declaredBytes)
  }

  #refuse(reply: FastifyReply, source: Source | undefined, refusal: Refusal, startedMs: number): FastifyReply {
    const { log, telemetry, proxies } = this.#options
    const { outcome, details = detailsOf(outcome, source), logged } = refusal
    telemetry.request(source?.name, outcome)
    const status = statusOf(outcome)
    // The component that is unavailable logs that itself, once. The metrics count each refusal.
    log[outcome === 'unavailable' ? 'debug' : 'warn'](
      {
        reqId: reply.request.id,
        source: source?.name,
        outcome,
        status,
        ...proxies.addressOf(reply.request),
        ...logged,
        duration_ms: this.#sinceMs(startedMs),
      },
      'webhook refused',
    )
    return sendProblem(this.#closingIfLast(reply), outcome, details)
  }

  #acknowledge(reply: FastifyReply, source: Source, received: Stored, startedMs: number): FastifyReply {
    const { log, telemetry, connections } = this.#options
    const { outcome, uid } = received
    const durationMs = this.#sinceMs(startedMs)
    telemetry.request(source.name, outcome)
    telemetry.acknowledged(source.name, durationMs / 1000)
    connections.trust(reply.request.raw.socket)
    // Only at level debug: a log line for each event would cost more than storing it, and the store and metrics record it anyway.
    log.debug(
      { reqId: reply.request.id, source: source.name, outcome, uid, status: 200, duration_ms: durationMs },
      'webhook stored',
    )
    return this.#closingIfLast(reply)
      .header('content-type', 'application/json; charset=utf-8')
      .header('x-request-id', reply.request.id)
      .send(`{"received":true,"uid":"${uid}","duplicate":${outcome === 'duplicate'}}`)
  }

  /** Closes the connection with the last answer while the service stops: an open connection would delay the stop. */
  #closingIfLast(reply: FastifyReply): FastifyReply {
    const { isDraining, connections } = this.#options
    return isDraining() && connections.owesOne(reply.request.raw.socket) ? reply.header('connection', 'close') : reply
  }

  /** To the microsecond. */
  #sinceMs(startedMs: number): number {
    return Math.round((this.#options.now() - startedMs) * 1000) / 1000
  }
}

const endpointOf = (source: Source): Endpoint => ({
  source,
  accepts: acceptsMediaTypes(source.provider.contentTypes ?? JSON_ONLY),
})

type Stored = Extract<Received, { uid: string }>

const isStored = (received: Received): received is Stored => 'uid' in received

/** An authentic event is stored under any media type; a request that is not authentic is refused for its media type first. */
function unprovenRefusal(unproven: Unproven, { accepts }: Endpoint, { headers }: IncomingMessage): Refusal {
  const logged = 'aheadMs' in unproven ? { timestamp_ahead_seconds: Math.round(unproven.aheadMs / 1000) } : undefined
  return accepts(headers['content-type'])
    ? { outcome: unproven.outcome, ...(logged !== undefined && { logged }) }
    : { outcome: 'unsupported_media_type', logged: { reason: unproven.outcome, ...logged } }
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
  const mediaTypes = source?.provider.contentTypes ?? JSON_ONLY
  return {
    detail: `accepted: ${mediaTypes.join(', ')}, without Content-Encoding`,
    headers: { 'accept-encoding': 'identity' },
  }
}

/**
 * The headers as Node gives them: names in lower case, repeated headers joined. Also joins `Set-Cookie`, the only header that Node
 * keeps as a list.
 */
function headersOf({ headers }: IncomingMessage): Headers {
  const { 'set-cookie': setCookie } = headers
  if (setCookie === undefined) return headers as Headers
  return Object.assign(Object.create(null), headers, { 'set-cookie': setCookie.join(', ') })
}

/** Characters of a Content-Type header: a longer one is not accepted. Also bounds the work of the expression below. */
const MAX_CONTENT_TYPE_LENGTH = 256

const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const QUOTED = '"(?:[^"\\\\]|\\\\.)*"'
/** RFC 9110 §8.3.1, whole: a type, and parameters that are well-formed. */
const MEDIA_TYPE = new RegExp(
  `^(${TOKEN}/${TOKEN})(?:[ \\t]*;[ \\t]*${TOKEN}=(?:${TOKEN}|${QUOTED}))*[ \\t]*;?[ \\t]*$`,
)

/**
 * Whether a Content-Type header names one of these media types. The parameters do not matter, but the whole header must follow the
 * grammar: a parser that reads only its beginning may take the body for another type. Accepts an absent or empty header, because
 * some providers send none.
 */
function acceptsMediaTypes(mediaTypes: readonly string[]): (header: string | undefined) => boolean {
  const accepted = new Set(mediaTypes.map((mediaType) => mediaType.toLowerCase()))
  return (header) => {
    if (header === undefined || header === '' || accepted.has(header)) return true
    if (header.length > MAX_CONTENT_TYPE_LENGTH) return false
    const mediaType = MEDIA_TYPE.exec(header)?.[1]
    return mediaType !== undefined && accepted.has(mediaType.toLowerCase())
  }
}
